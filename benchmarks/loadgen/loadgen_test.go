package main

import (
	"bytes"
	"fmt"
	"math/rand"
	"net"
	"strings"
	"sync"
	"testing"
)

// misbehaviour is what the little server below does wrong with its event number 30.
type misbehaviour int

const (
	none misbehaviour = iota
	loses
	repeats
	swaps
	alters
	mistakesTopic
	wrongChunk
	lies
)

// server is a publish/subscribe server of one topic's worth of code, which can be told to fail.
type server struct {
	mutex       sync.Mutex
	subscribers []net.Conn
	events      int
	held        []byte
	fault       misbehaviour
}

func (s *server) serve(connection net.Conn) {
	buffer := make([]byte, 1<<16)
	var kept []byte
	for {
		n, err := connection.Read(buffer)
		if err != nil {
			return
		}
		kept = append(kept, buffer[:n]...)
		end := bytes.Index(kept, endOfHead)
		if end < 0 {
			continue
		}
		s.mutex.Lock()
		if bytes.HasPrefix(kept, []byte("GET ")) {
			fmt.Fprint(connection, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
			s.subscribers = append(s.subscribers, connection)
			kept = nil
		} else if body := kept[end+4:]; len(body) >= 20 {
			s.fanOut(body)
			fmt.Fprint(connection, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
			kept = nil
		}
		s.mutex.Unlock()
	}
}

func (s *server) fanOut(body []byte) {
	s.events++
	chunk := func(data []byte) []byte { return []byte(fmt.Sprintf("%x\r\n%s\r\n", len(data), data)) }
	frame := chunk(append([]byte("data: "), append(append([]byte{}, body...), '\n', '\n')...))
	for i, subscriber := range s.subscribers {
		out := frame
		if i == 0 && s.events == 30 {
			switch s.fault {
			case loses:
				continue
			case repeats:
				out = append(append([]byte{}, frame...), frame...)
			case swaps:
				s.held = frame
				continue
			case alters:
				out = bytes.Replace(frame, []byte("quick"), []byte("quack"), 1)
				out = bytes.Replace(out, body[12:14], []byte("!!"), 1)
			case mistakesTopic:
				data := append([]byte{}, body...)
				m, _ := parseMarker(data)
				m.topic = 7
				m.put(data)
				out = chunk(data)
			case wrongChunk:
				out = append([]byte("f"), frame...)
			}
		}
		if i == 0 && s.events == 31 && s.held != nil {
			out = append(append([]byte{}, frame...), s.held...)
		}
		_, _ = subscriber.Write(out)
	}
	if s.fault == lies && s.events == 30 {
		_ = s.subscribers[0].Close()
	}
}

func run1(t *testing.T, fault misbehaviour) (*Report, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s := &server{fault: fault}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(connection)
		}
	}()
	// Two in flight, so that two events can change places.
	config, err := readConfig(strings.NewReader(fmt.Sprintf(`{"mode": "deliver", "address": %q, "subscribers": 3,
		"size": 20, "window": 2, "seconds": 0.2, "publish_status": [200],
		"subscribe": {"method": "GET", "target": "/"}, "publish": {"method": "POST", "target": "/", "body": "{data}"}}`,
		listener.Addr())))
	if err != nil {
		t.Fatal(err)
	}
	report := &Report{}
	return report, execute(config, report)
}

func TestAServerThatKeepsEveryPromisePasses(t *testing.T) {
	report, err := run1(t, none)
	if err != nil {
		t.Fatal(err)
	}
	if report.Events == 0 || report.Deliveries != 3*report.Events || report.Delivery.Count != report.Deliveries {
		t.Errorf("%d events, %d deliveries, %d latencies", report.Events, report.Deliveries, report.Delivery.Count)
	}
}

func TestEveryBrokenPromiseFailsTheRun(t *testing.T) {
	for fault, want := range map[misbehaviour]string{
		loses:         "lost or out of order",
		repeats:       "repeated",
		swaps:         "out of order",
		alters:        "not as it was published",
		mistakesTopic: "topic 7",
		wrongChunk:    "chunk",
		lies:          "ended the connection",
	} {
		if _, err := run1(t, fault); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("fault %d: %v, want an error with %q", fault, err, want)
		}
	}
}

func TestAStreamMayBeCutAnywhere(t *testing.T) {
	makeFiller(50)
	var stream []byte
	for i := uint32(1); i <= 40; i++ {
		data := make([]byte, 50)
		mark{3, 2, i}.put(data)
		stream = append(stream, fmt.Sprintf("%x\r\ndata: %s\n\n\r\n", len(data)+8, data)...)
	}
	random := rand.New(rand.NewSource(1))
	for round := 0; round < 200; round++ {
		var next uint32
		var framing chunks
		var inside scanner
		for rest := stream; len(rest) > 0; {
			n := 1 + random.Intn(min(len(rest), 90))
			_, err := framing.read(rest[:n], func(payload []byte) error {
				return inside.scan(payload, 50, func(m mark) error {
					if next++; m != (mark{3, 2, next}) {
						return fmt.Errorf("%+v is not number %d", m, next)
					}
					return nil
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if next != 40 {
			t.Fatalf("%d of 40 events were found", next)
		}
	}
}

func TestQuantilesAreWithinOnePercent(t *testing.T) {
	var h Histogram
	for i := int64(1); i <= 100_000; i++ {
		h.Record(i*1000, 1)
	}
	for share, want := range map[float64]float64{0.5: 50e6, 0.99: 99e6, 0.999: 99.9e6} {
		if got := float64(h.Quantile(share)); got < want || got > want*1.01 {
			t.Errorf("quantile %g is %g, want %g", share, got, want)
		}
	}
	if h.Quantile(1) != 100e6 {
		t.Errorf("the largest is %d", h.Quantile(1))
	}
}

func TestWebSocketFramesOfEveryLength(t *testing.T) {
	for _, length := range []int{0, 1, 125, 126, 65535, 65536} {
		payload := bytes.Repeat([]byte("x"), length)
		frame := []byte{129}
		switch {
		case length < 126:
			frame = append(frame, byte(length))
		case length < 65536:
			frame = append(frame, 126, byte(length>>8), byte(length))
		default:
			frame = append(frame, 127, 0, 0, 0, 0, 0, byte(length>>16), byte(length>>8), byte(length))
		}
		stream := append(append(frame, payload...), 0x89, 2, 'h', 'i')
		var got []byte
		pinged := ""
		var reader frames
		for _, b := range stream {
			err := reader.read([]byte{b},
				func(part []byte) error { got = append(got, part...); return nil },
				func(opcode byte, part []byte) error { pinged = fmt.Sprint(opcode, string(part)); return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, payload) || pinged != "9hi" {
			t.Errorf("length %d: got %d bytes and ping %q", length, len(got), pinged)
		}
	}
}
