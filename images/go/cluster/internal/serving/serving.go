// Package serving runs HTTP servers until they are told to stop.
package serving

import (
	"context"
	"errors"
	"net/http"
	"time"
)

const stopWithin = 5 * time.Second

// Until serves until ctx ends, and then lets requests under way finish within a bound. Its error is
// why it could not serve, or could not stop.
func Until(ctx context.Context, server *http.Server) error {
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	soon, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	if err := server.Shutdown(soon); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
