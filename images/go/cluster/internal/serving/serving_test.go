package serving

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

func TestARequestUnderWayEndsBeforeTheServerDoes(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	begun, finish := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		w.WriteHeader(http.StatusNoContent)
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Until(ctx, &http.Server{Addr: address, Handler: handler}) }()
	answered := make(chan int, 1)
	go func() {
		for range 100 {
			if answer, err := http.Get("http://" + address); err == nil {
				answer.Body.Close()
				answered <- answer.StatusCode
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		answered <- 0
	}()
	<-begun
	cancel()
	select {
	case err := <-ended:
		t.Fatalf("it ended while a request was under way: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(finish)
	if code := <-answered; code != http.StatusNoContent {
		t.Fatalf("the request was answered with %d", code)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestAPortThatIsTakenIsAnError(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := Until(context.Background(), &http.Server{Addr: listener.Addr().String()}); err == nil {
		t.Fatal("no error")
	}
}
