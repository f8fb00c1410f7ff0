// Loadgen opens SSE or WebSocket subscribers on a server of this machine, publishes, checks that every subscriber gets
// every event of its topic once and in order, and reports what it cost. It reads a configuration (config.go) from
// standard input and writes a report, both as one JSON object. A failed check ends the run with status 1.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
)

// Report is what a run found. Absent parts do not belong to its mode.
type Report struct {
	Mode string `json:"mode"`
	// Error says which check failed; the figures then mean nothing and are left out.
	Error string `json:"error,omitempty"`

	Events              uint64  `json:"events,omitempty"`
	Deliveries          uint64  `json:"deliveries,omitempty"`
	DeliveriesPerSecond float64 `json:"deliveries_per_second,omitempty"`
	// MicrosecondsPerDelivery, PerEvent and PerRequest are the server's processor time.
	MicrosecondsPerDelivery float64  `json:"cpu_us_per_delivery,omitempty"`
	MicrosecondsPerEvent    float64  `json:"cpu_us_per_event,omitempty"`
	Delivery                *Latency `json:"delivery_us,omitempty"`
	PublishAnswer           *Latency `json:"publish_answer_us,omitempty"`

	Requests               uint64  `json:"requests,omitempty"`
	RequestsPerSecond      float64 `json:"requests_per_second,omitempty"`
	MicrosecondsPerRequest float64 `json:"cpu_us_per_request,omitempty"`
	Reconnects             int     `json:"reconnects,omitempty"`

	Opened                    int     `json:"opened,omitempty"`
	OpenSeconds               float64 `json:"open_seconds,omitempty"`
	MicrosecondsPerConnection float64 `json:"cpu_us_per_connection,omitempty"`
	BytesPerConnection        float64 `json:"bytes_per_connection,omitempty"`
	// IdleMicroseconds is the processor time that one idle connection costs in a second.
	IdleMicroseconds float64 `json:"idle_cpu_us_per_connection_second,omitempty"`

	Probe *Latency `json:"probe_us,omitempty"`
	Work  *Work    `json:"work,omitempty"`
}

func main() {
	config, err := readConfig(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	raiseFileLimit()
	debug.SetGCPercent(400)
	runtime.LockOSThread()
	report := &Report{Mode: config.Mode}
	if err := execute(config, report); err != nil {
		report = &Report{Mode: config.Mode, Error: err.Error()}
	}
	out, _ := json.MarshalIndent(report, "", "  ")
	fmt.Println(string(out))
	if report.Error != "" {
		os.Exit(1)
	}
}

func execute(config *Config, report *Report) error {
	r, err := newRun(config)
	if err != nil {
		return err
	}
	defer r.close()
	switch config.Mode {
	case "deliver":
		return r.deliver(report)
	case "idle":
		return r.hold(report)
	default:
		return r.drop(report)
	}
}

// deliver measures events from publish to every subscriber.
func (r *run) deliver(report *Report) error {
	began := now()
	if err := r.openSubscribers(0, len(r.subscribers), r.config.Opening); err != nil {
		return err
	}
	report.Opened, report.OpenSeconds = r.open, float64(now()-began)/1e9
	if err := r.linger(int64(r.config.SettleSeconds * 1e9)); err != nil {
		return err
	}
	if err := r.openPublishers(); err != nil {
		return err
	}
	if err := r.warmUp(); err != nil {
		return err
	}
	var probe *prober
	if r.config.ProbeTarget != "" {
		// On one core Go would give the probe its turn only now and then; the kernel does better.
		runtime.GOMAXPROCS(4)
		probe = startProbe(r.config)
	}
	before, err := measure(r.config)
	if err != nil {
		return err
	}
	if err := r.publishFor(); err != nil {
		return err
	}
	if err := r.settle(); err != nil {
		return err
	}
	after, err := measure(r.config)
	if err != nil {
		return err
	}
	if probe != nil {
		if report.Probe, err = probe.stop(); err != nil {
			return err
		}
	}
	if err := r.verify(); err != nil {
		return err
	}
	work := before.until(after)
	report.Work = work
	report.Events, report.Deliveries = r.eventCount, r.deliveries
	report.DeliveriesPerSecond = float64(r.deliveries) / work.Seconds
	report.MicrosecondsPerDelivery = work.ServerSeconds * 1e6 / float64(r.deliveries)
	report.MicrosecondsPerEvent = work.ServerSeconds * 1e6 / float64(r.eventCount)
	report.Delivery, report.PublishAnswer = r.delivery.Report(), r.publish.Report()
	return nil
}

// hold measures what it costs to accept connections and to keep them.
func (r *run) hold(report *Report) error {
	all, first := len(r.subscribers), min(r.config.First, len(r.subscribers)/2)
	if err := r.openSubscribers(0, first, r.config.Opening); err != nil {
		return err
	}
	if err := r.linger(3e8); err != nil {
		return err
	}
	memory, err := residentBytes(r.config.Pids)
	if err != nil {
		return err
	}
	before, err := measure(r.config)
	if err != nil {
		return err
	}
	if err := r.openSubscribers(first, all, r.config.Opening); err != nil {
		return err
	}
	opened := now()
	// What is put off until after the last one is open belongs to it too.
	if err := r.linger(3e8); err != nil {
		return err
	}
	between, err := measure(r.config)
	if err != nil {
		return err
	}
	if err := r.linger(int64(r.config.Seconds * 1e9)); err != nil {
		return err
	}
	after, err := measure(r.config)
	if err != nil {
		return err
	}
	held, err := residentBytes(r.config.Pids)
	if err != nil {
		return err
	}
	count := float64(all - first)
	report.Opened, report.OpenSeconds = all, float64(opened-before.at)/1e9
	report.Work = before.until(between)
	report.MicrosecondsPerConnection = report.Work.ServerSeconds * 1e6 / count
	report.BytesPerConnection = float64(held-memory) / count
	idle := between.until(after)
	if idle.Seconds > 0 {
		report.IdleMicroseconds = idle.ServerSeconds * 1e6 / idle.Seconds / float64(all)
	}
	return nil
}

// drop measures publishes that nobody is subscribed for.
func (r *run) drop(report *Report) error {
	if err := r.openPublishers(); err != nil {
		return err
	}
	var count uint64
	loop := func(seconds float64, record bool) error {
		end := now() + int64(seconds*1e9)
		for now() < end {
			for len(r.idle) > 0 {
				p := r.idle[0]
				r.idle = r.idle[1:]
				count++
				m := mark{topic: int(count) % r.config.Topics, publisher: p.number, sequence: uint32(count)}
				m.put(r.data)
				request := r.config.Publish.render(r.requests[p.number][:0], r.config.PublishAddress,
					"nobody-"+strconv.Itoa(m.topic), strconv.FormatUint(count, 10), r.data)
				r.requests[p.number] = request
				err := r.start(p, request, r.config.DroppedStatus, now(), func(after int64) {
					if record {
						r.publish.Record(after, 1)
					}
				})
				if err != nil {
					return err
				}
			}
			if err := r.step(end); err != nil {
				return err
			}
		}
		return r.settle()
	}
	if err := loop(0.3, false); err != nil {
		return err
	}
	count, r.reconnects = 0, 0
	before, err := measure(r.config)
	if err != nil {
		return err
	}
	if err := loop(r.config.Seconds, true); err != nil {
		return err
	}
	after, err := measure(r.config)
	if err != nil {
		return err
	}
	report.Work = before.until(after)
	report.Requests, report.Reconnects = count, r.reconnects
	report.RequestsPerSecond = float64(count) / report.Work.Seconds
	report.MicrosecondsPerRequest = report.Work.ServerSeconds * 1e6 / float64(count)
	report.PublishAnswer = r.publish.Report()
	return nil
}

func (r *run) close() {
	for fd, socket := range r.sockets {
		if socket != nil {
			closeHard(fd)
		}
	}
	_ = syscall.Close(r.epoll)
}

func raiseFileLimit() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}
