package main

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"
)

const (
	warmUpWait  = 5 * time.Second
	drainWait   = 30 * time.Second
	openWait    = 120 * time.Second
	repeatWait  = 100 * time.Millisecond
	moreWarmUps = 4
	bufferBytes = 256 * 1024
)

// event is one that has been published and is not yet with all its subscribers.
type event struct {
	sentAt int64
	left   int
}

// stream is what one publisher has sent to one topic.
type stream struct {
	sent uint32
	// inFlight are the events from number sent-len(inFlight)+1 on.
	inFlight []event
}

// run is everything of a run. One goroutine does it all.
type run struct {
	config            *Config
	epoll             int
	events            []syscall.EpollEvent
	sockets           []any
	buffer            []byte
	addresses         []*syscall.SockaddrInet4
	publishAddress    *syscall.SockaddrInet4
	subscribers       []*subscriber
	publishers        []*publisher
	idle              []*publisher
	open, connecting  int
	reconnects        int
	members           []int
	last              []uint32
	streams           []stream
	unfinished        int
	eventCount        uint64
	nextTopic         int
	warmRound         uint32
	warmMissing       int
	delivery, publish Histogram
	deliveries        uint64
	turn              int64
	current           *subscriber
	onPayload         func([]byte) error
	onEvent           func(mark) error
	data              []byte
	requests          [][]byte
}

func newRun(config *Config) (*run, error) {
	r := &run{config: config, buffer: make([]byte, bufferBytes), events: make([]syscall.EpollEvent, 512)}
	r.onPayload, r.onEvent = r.payload, r.received
	var err error
	for _, text := range append([]string{config.Address}, config.MoreAddresses...) {
		address, err := parseAddress(text)
		if err != nil {
			return nil, err
		}
		r.addresses = append(r.addresses, address)
	}
	if r.publishAddress, err = parseAddress(config.PublishAddress); err != nil {
		return nil, err
	}
	if r.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	makeFiller(config.Size)
	r.data = make([]byte, config.Size)
	r.members = make([]int, config.Topics)
	r.streams = make([]stream, config.Topics*config.Publishers)
	r.last = make([]uint32, config.Subscribers*config.Publishers)
	r.requests = make([][]byte, config.Publishers)
	for i := 0; config.Mode != "dropped" && i < config.Subscribers; i++ {
		r.subscribers = append(r.subscribers, &subscriber{number: i, topic: config.topicOf(i)})
		r.members[config.topicOf(i)]++
	}
	return r, nil
}

// step waits for sockets, at most until a time, and serves them.
func (r *run) step(until int64) error {
	r.turn = now()
	ready, err := r.wait(max(0, until-r.turn))
	if err != nil {
		return err
	}
	for _, event := range ready {
		switch socket := r.sockets[event.Fd].(type) {
		case *subscriber:
			err = r.serveSubscriber(socket, event.Events)
		case *publisher:
			if int(event.Fd) == socket.fd {
				err = r.servePublisher(socket, event.Events)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stepUntil serves sockets until a condition holds.
func (r *run) stepUntil(what string, limit time.Duration, done func() bool) error {
	deadline := now() + int64(limit)
	for !done() {
		if now() > deadline {
			return fmt.Errorf("%s took more than %s", what, limit)
		}
		if err := r.step(deadline); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) serveSubscriber(s *subscriber, events uint32) error {
	if !s.connected {
		if events&(syscall.EPOLLOUT|syscall.EPOLLERR|syscall.EPOLLHUP) == 0 {
			return nil
		}
		if err := connectError(s.fd); err != nil {
			return fmt.Errorf("subscriber %d: connect: %w", s.number, err)
		}
		s.connected = true
		request := r.config.Subscribe.render(r.data[:0:0], r.config.Address, topicName(s.topic), strconv.Itoa(s.number), nil)
		if err := writeAll(s.fd, request); err != nil {
			return err
		}
	}
	if events&^uint32(syscall.EPOLLOUT) == 0 {
		return nil
	}
	for {
		n, errno := read(s.fd, r.buffer)
		if errno == syscall.EAGAIN {
			return nil
		}
		if errno != 0 || n == 0 {
			return fmt.Errorf("subscriber %d: the server ended the connection (%v)", s.number, errno)
		}
		r.turn = now()
		if err := r.readSubscriber(s, r.buffer[:n]); err != nil {
			return err
		}
		// A short read has taken all that there was, unless the peer has closed: another event says that.
		if n < len(r.buffer) && events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP) == 0 {
			return nil
		}
	}
}

func (r *run) servePublisher(p *publisher, events uint32) error {
	if !p.connected {
		if events&(syscall.EPOLLOUT|syscall.EPOLLERR|syscall.EPOLLHUP) == 0 {
			return nil
		}
		if err := connectError(p.fd); err != nil {
			return fmt.Errorf("publisher %d: connect: %w", p.number, err)
		}
		p.connected = true
	}
	if events&^uint32(syscall.EPOLLOUT) != 0 {
		if err := r.readPublisher(p, nil); err != nil {
			return err
		}
	}
	if len(p.unsent) > 0 {
		return r.flush(p)
	}
	return nil
}

func (r *run) reconnect(p *publisher) error {
	if p.fd > 0 {
		r.sockets[p.fd] = nil
		_ = syscall.Close(p.fd)
	}
	fd, err := r.connect(r.publishAddress)
	if err != nil {
		return err
	}
	p.fd, p.connected, p.headReader = fd, false, headReader{}
	r.sockets[fd] = p
	return nil
}

// openPublishers connects all publishers.
func (r *run) openPublishers() error {
	for i := 0; i < r.config.Publishers; i++ {
		p := &publisher{number: i}
		if err := r.reconnect(p); err != nil {
			return err
		}
		r.publishers = append(r.publishers, p)
		r.idle = append(r.idle, p)
	}
	return r.stepUntil("connecting the publishers", openWait, func() bool {
		for _, p := range r.publishers {
			if !p.connected {
				return false
			}
		}
		return true
	})
}

// openSubscribers opens subscribers from one number to before another, so many at a time.
func (r *run) openSubscribers(from, to, atOnce int) error {
	next := from
	var failed error
	err := r.stepUntil("opening the subscribers", openWait, func() bool {
		for next < to && (atOnce == 0 || r.connecting < atOnce) {
			s := r.subscribers[next]
			fd, err := r.connect(r.addresses[s.number%len(r.addresses)])
			if err != nil {
				failed = err
				return true
			}
			s.fd, r.sockets[fd] = fd, s
			next++
			r.connecting++
		}
		return r.open == to
	})
	if failed != nil {
		return failed
	}
	return err
}

func (r *run) opened(s *subscriber) {
	s.open = true
	r.open++
	r.connecting--
}

// warmUp publishes rounds of events until the subscribers of all topics that are published to have seen a whole round:
// some servers answer a subscriber before an event would reach it.
func (r *run) warmUp() error {
	expected := 0
	for topic := 0; topic < r.config.PublishTopics; topic++ {
		expected += r.members[topic]
	}
	for round := 1; ; round++ {
		r.warmRound, r.warmMissing = uint32(round), expected
		for topic := 0; topic < r.config.PublishTopics; topic++ {
			for len(r.idle) == 0 {
				if err := r.step(now() + int64(drainWait)); err != nil {
					return err
				}
			}
			// Rounds come in order on each topic, as one ends before the next begins.
			if err := r.send(mark{topic, warmUp, uint32(round)}, now(), func(int64) {}); err != nil {
				return err
			}
		}
		err := r.stepUntil("a warm-up round", warmUpWait, func() bool {
			return r.warmMissing == 0 && len(r.idle) == len(r.publishers)
		})
		switch {
		case err == nil && round >= r.config.WarmUpRounds:
			return nil
		case err != nil && (len(r.idle) < len(r.publishers) || round >= r.config.WarmUpRounds+moreWarmUps):
			return fmt.Errorf("warm-up round %d did not reach %d subscribers: %w", round, r.warmMissing, err)
		}
	}
}

// send publishes an event on an idle publisher.
func (r *run) send(m mark, sentAt int64, done func(int64)) error {
	p := r.idle[0]
	r.idle = r.idle[1:]
	if m.publisher != warmUp {
		m.publisher = p.number
		flow := &r.streams[m.topic*r.config.Publishers+p.number]
		flow.sent++
		m.sequence = flow.sent
		flow.inFlight = append(flow.inFlight, event{sentAt, r.members[m.topic]})
		r.unfinished++
		r.eventCount++
	}
	m.put(r.data)
	id := strconv.Itoa(m.topic) + "-" + strconv.Itoa(m.publisher) + "-" + strconv.FormatUint(uint64(m.sequence), 10)
	request := r.config.Publish.render(r.requests[p.number][:0], r.config.PublishAddress, topicName(m.topic), id, r.data)
	r.requests[p.number] = request
	return r.start(p, request, r.config.PublishStatus, sentAt, done)
}

// delivered counts one delivery of an event that came in its turn.
func (r *run) delivered(m mark) error {
	flow := &r.streams[m.topic*r.config.Publishers+m.publisher]
	first := flow.sent - uint32(len(flow.inFlight)) + 1
	if m.sequence < first || m.sequence > flow.sent {
		return fmt.Errorf("event %d of publisher %d on topic %d is not in flight", m.sequence, m.publisher, m.topic)
	}
	e := &flow.inFlight[m.sequence-first]
	r.delivery.Record(r.turn-e.sentAt, 1)
	r.deliveries++
	if e.left--; e.left == 0 {
		r.unfinished--
		done := 0
		for done < len(flow.inFlight) && flow.inFlight[done].left == 0 {
			done++
		}
		flow.inFlight = append(flow.inFlight[:0], flow.inFlight[done:]...)
	}
	return nil
}

// publishFor keeps events in flight for the configured time, or publishes at the configured rate.
func (r *run) publishFor() error {
	begin := now()
	end := begin + int64(r.config.Seconds*1e9)
	var due, interval int64
	if r.config.Rate > 0 {
		due, interval = begin, int64(1e9/r.config.Rate)
	}
	for {
		at := now()
		if at >= end {
			return nil
		}
		wake := end
		for len(r.idle) > 0 {
			sentAt := at
			if interval > 0 {
				if due > at {
					wake = min(end, due)
					break
				}
				sentAt = due
				due += interval
			} else if r.unfinished >= r.config.Window {
				break
			}
			topic := r.nextTopic
			r.nextTopic = (r.nextTopic + 1) % r.config.PublishTopics
			if err := r.send(mark{topic: topic}, sentAt, func(after int64) { r.publish.Record(after, 1) }); err != nil {
				return err
			}
		}
		if err := r.step(wake); err != nil {
			return err
		}
	}
}

// settle waits until every event is everywhere, and a little longer for what should not come.
func (r *run) settle() error {
	err := r.stepUntil("delivery of the last events", drainWait, func() bool {
		return r.unfinished == 0 && len(r.idle) == len(r.publishers)
	})
	if err != nil {
		return fmt.Errorf("%w; %d events are lost or late", err, r.unfinished)
	}
	return nil
}

func (r *run) linger(nanoseconds int64) error {
	until := now() + nanoseconds
	for now() < until {
		if err := r.step(until); err != nil {
			return err
		}
	}
	return nil
}

// verify compares what every subscriber has with what was published.
func (r *run) verify() error {
	if err := r.linger(int64(repeatWait)); err != nil {
		return err
	}
	order := make(map[int]uint64)
	for _, s := range r.subscribers {
		for p := 0; p < r.config.Publishers; p++ {
			sent := r.streams[s.topic*r.config.Publishers+p].sent
			if got := r.last[s.number*r.config.Publishers+p]; got != sent {
				return fmt.Errorf("subscriber %d has %d of %d events of publisher %d", s.number, got, sent, p)
			}
		}
		if known, seen := order[s.topic]; !seen {
			order[s.topic] = s.order
		} else if known != s.order {
			return fmt.Errorf("the subscribers of topic %d have seen different orders", s.topic)
		}
	}
	if r.deliveries == 0 {
		return errors.New("nothing was delivered")
	}
	return nil
}
