package main

import (
	"fmt"
	"syscall"
)

// publisher is one keep-alive connection with at most one request under way.
type publisher struct {
	fd, number int
	connected  bool
	busy       bool
	request    []byte
	unsent     []byte
	sentAt     int64
	headReader headReader
	head       head
	inBody     bool
	answered   bool
	chunks     chunks
	left       int
	accepted   []int
	done       func(answeredAfter int64)
}

// start sends a request. done is called when it has been answered with one of the statuses accepted.
func (r *run) start(p *publisher, request []byte, accepted []int, sentAt int64, done func(int64)) error {
	p.busy, p.answered, p.inBody = true, false, false
	p.request, p.unsent, p.sentAt, p.accepted, p.done = request, request, sentAt, accepted, done
	if !p.connected {
		return nil
	}
	return r.flush(p)
}

// flush writes what the socket takes.
func (r *run) flush(p *publisher) error {
	for len(p.unsent) > 0 {
		n, errno := write(p.fd, p.unsent)
		if errno == syscall.EAGAIN {
			return nil
		}
		if errno != 0 {
			// The answer to a body that nobody wants may be there although the connection is being closed.
			return r.readPublisher(p, fmt.Errorf("publisher: write: %w", errno))
		}
		p.unsent = p.unsent[n:]
	}
	return r.finish(p)
}

// readPublisher reads what has come. failed is what has gone wrong already, and is returned unless an answer is there.
func (r *run) readPublisher(p *publisher, failed error) error {
	for {
		n, errno := read(p.fd, r.buffer)
		if errno == syscall.EAGAIN {
			return failed
		}
		if errno != 0 || n == 0 {
			if p.busy && p.answered && p.head.close {
				return r.finish(p)
			}
			if !p.busy {
				r.reconnects++
				return r.reconnect(p)
			}
			return fmt.Errorf("publisher: the connection ended before the answer (%d bytes, %v, write: %v)", n, errno, failed)
		}
		if err := r.answer(p, r.buffer[:n]); err != nil {
			return err
		}
		if p.answered {
			if failed != nil && !p.head.close {
				return failed
			}
			return r.finish(p)
		}
	}
}

func (r *run) answer(p *publisher, data []byte) error {
	if !p.busy || p.answered {
		return fmt.Errorf("publisher: bytes that answer nothing: %.200q", data)
	}
	if !p.inBody {
		h, rest, done, err := p.headReader.read(data)
		if err != nil || !done {
			return err
		}
		if !contains(p.accepted, h.status) {
			return fmt.Errorf("publisher got status %d: %.400q", h.status, data)
		}
		if !h.chunked && h.length < 0 {
			return fmt.Errorf("publisher: an answer of unknown length: %.300q", data)
		}
		p.head, p.inBody, p.left, p.chunks = h, true, h.length, chunks{}
		data = rest
	}
	if p.head.chunked {
		done, err := p.chunks.read(data, func([]byte) error { return nil })
		p.answered = done
		return err
	}
	p.left -= len(data)
	if p.left < 0 {
		return fmt.Errorf("publisher: an answer longer than it says: %.300q", data)
	}
	p.answered = p.left == 0
	return nil
}

// finish ends a request that has been answered and sent, or answered with the connection's end announced.
func (r *run) finish(p *publisher) error {
	if !p.busy || !p.answered || (len(p.unsent) > 0 && !p.head.close) {
		return nil
	}
	p.busy, p.unsent = false, nil
	if p.head.close {
		r.reconnects++
		if err := r.reconnect(p); err != nil {
			return err
		}
	}
	r.idle = append(r.idle, p)
	p.done(now() - p.sentAt)
	return nil
}

func contains(list []int, value int) bool {
	for _, each := range list {
		if each == value {
			return true
		}
	}
	return false
}
