package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"syscall"
	"time"
)

// prober asks for a page now and then while events are delivered, in a thread of its own: it must not wait for the
// generator's own work.
type prober struct {
	quit      chan struct{}
	finished  chan struct{}
	histogram Histogram
	err       error
}

func startProbe(config *Config) *prober {
	p := &prober{quit: make(chan struct{}), finished: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		defer close(p.finished)
		// Wake at once, however busy the generator keeps its core; only root may ask for that.
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), -20)
		p.err = p.run(config)
	}()
	return p
}

func (p *prober) run(config *Config) error {
	connection, err := net.Dial("tcp", config.Address)
	if err != nil {
		return err
	}
	defer connection.Close()
	reader := bufio.NewReader(connection)
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nhost: %s\r\n\r\n", config.ProbeTarget, config.Address)
	interval := time.Duration(config.ProbeSeconds * float64(time.Second))
	timer := time.NewTicker(interval)
	defer timer.Stop()
	for {
		select {
		case <-p.quit:
			return nil
		case <-timer.C:
		}
		begin := now()
		if _, err := io.WriteString(connection, request); err != nil {
			return fmt.Errorf("probe: %w", err)
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return fmt.Errorf("probe: %w", err)
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			return fmt.Errorf("probe: status %d, %w", response.StatusCode, err)
		}
		p.histogram.Record(now()-begin, 1)
	}
}

func (p *prober) stop() (*Latency, error) {
	close(p.quit)
	<-p.finished
	return p.histogram.Report(), p.err
}
