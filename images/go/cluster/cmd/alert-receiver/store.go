package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// A character of a message becomes six at most: `<` is written as `\u003c`.
const longestLine = 8 * largestBody

// Notification is one alert of one message, as Alertmanager's webhook describes it.
type Notification struct {
	Received    time.Time         `json:"received"`
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
	Fingerprint string            `json:"fingerprint"`
	GroupKey    string            `json:"groupKey"`
}

// Query says which notifications are wanted; what is empty is not asked for.
type Query struct {
	AlertName string
	Status    string
	Since     time.Time
}

// Store keeps the newest notifications in memory and in a file, one JSON object a line.
type Store struct {
	mutex sync.Mutex
	file  string
	keep  int
	lines int
	kept  []Notification
}

// Open reads what file holds; a line that a killed process left half written is dropped.
func Open(file string, keep int) (*Store, error) {
	store := &Store{file: file, keep: keep}
	old, err := os.Open(file)
	if err == nil {
		defer old.Close()
		lines := bufio.NewScanner(old)
		lines.Buffer(nil, longestLine)
		for lines.Scan() {
			var one Notification
			if json.Unmarshal(lines.Bytes(), &one) == nil {
				store.kept = append(store.kept, one)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
	} else if !os.IsNotExist(err) {
		return nil, err
	}
	return store, store.rewrite()
}

// Add keeps notifications; they are on disk when it returns without an error.
func (s *Store) Add(all []Notification) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.kept = append(s.kept, all...)
	if s.lines+len(all) > 2*s.keep {
		return s.rewrite()
	}
	file, err := os.OpenFile(s.file, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := write(file, all); err != nil {
		return err
	}
	s.lines += len(all)
	s.forget()
	return nil
}

// Find returns the notifications that fit, the oldest first.
func (s *Store) Find(query Query) []Notification {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	found := []Notification{}
	for _, one := range s.kept {
		if (query.AlertName == "" || one.Labels["alertname"] == query.AlertName) &&
			(query.Status == "" || one.Status == query.Status) && !one.Received.Before(query.Since) {
			found = append(found, one)
		}
	}
	return found
}

func (s *Store) forget() {
	if surplus := len(s.kept) - s.keep; surplus > 0 {
		s.kept = append([]Notification(nil), s.kept[surplus:]...)
	}
}

// rewrite replaces the file by one with just what is kept.
func (s *Store) rewrite() error {
	s.forget()
	file, err := os.OpenFile(s.file+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := write(file, s.kept); err != nil {
		return err
	}
	s.lines = len(s.kept)
	return os.Rename(s.file+".new", s.file)
}

func write(file *os.File, all []Notification) error {
	out := json.NewEncoder(file)
	for _, one := range all {
		if err := out.Encode(one); err != nil {
			file.Close()
			return err
		}
	}
	if err := file.Sync(); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
