package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// cpuTime returns the processor time of processes in nanoseconds, user and system, all threads, those that have ended
// included. It is the sum that /proc/PID/stat shows as utime and stime, without being rounded to 10 ms.
func cpuTime(pids []int) (int64, error) {
	var sum int64
	for _, pid := range pids {
		// The clock id of another process, as clock_getcpuclockid(3) makes it.
		clock := uintptr(int64(^pid)<<3 | 2)
		var spec syscall.Timespec
		if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&spec)), 0); errno != 0 {
			return 0, fmt.Errorf("processor time of process %d: %w", pid, errno)
		}
		sum += spec.Nano()
	}
	return sum, nil
}

// userAndSystem returns user and system time of processes in nanoseconds, rounded to 10 ms by the kernel.
func userAndSystem(pids []int) (user, system int64, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, 0, err
		}
		// The name, in parentheses, may hold spaces.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		u, _ := strconv.ParseInt(fields[11], 10, 64)
		s, _ := strconv.ParseInt(fields[12], 10, 64)
		user += u * int64(10*time.Millisecond)
		system += s * int64(10*time.Millisecond)
	}
	return user, system, nil
}

// residentBytes returns the resident memory of processes.
func residentBytes(pids []int) (int64, error) {
	var sum int64
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			return 0, err
		}
		pages, _ := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
		sum += pages * int64(os.Getpagesize())
	}
	return sum, nil
}

// machineBusy returns the processor time that the machine has spent on anything, stolen time included.
func machineBusy() int64 {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var busy int64
	for i, field := range strings.Fields(line)[1:] {
		if i == 3 || i == 4 || i > 7 { // idle, iowait; guests are counted in user
			continue
		}
		ticks, _ := strconv.ParseInt(field, 10, 64)
		busy += ticks * int64(10*time.Millisecond)
	}
	return busy
}

// usage is what processes had used at a moment.
type usage struct {
	at, server, beside, user, system, own, machine int64
}

func measure(config *Config) (usage, error) {
	server, err := cpuTime(config.Pids)
	if err != nil {
		return usage{}, err
	}
	beside, err := cpuTime(config.BesidePids)
	if err != nil {
		return usage{}, err
	}
	user, system, err := userAndSystem(config.Pids)
	if err != nil {
		return usage{}, err
	}
	own, err := cpuTime([]int{os.Getpid()})
	return usage{now(), server, beside, user, system, own, machineBusy()}, err
}

// Work is what a part of a run cost.
type Work struct {
	Seconds       float64 `json:"seconds"`
	ServerSeconds float64 `json:"server_cpu_seconds"`
	BesideSeconds float64 `json:"beside_cpu_seconds,omitempty"`
	UserSeconds   float64 `json:"server_user_seconds"`
	SystemSeconds float64 `json:"server_system_seconds"`
	OwnSeconds    float64 `json:"generator_cpu_seconds"`
	// ForeignCores is how many cores others used meanwhile: the noise.
	ForeignCores float64 `json:"foreign_cores"`
}

func (from usage) until(to usage) *Work {
	seconds := func(a, b int64) float64 { return float64(b-a) / 1e9 }
	work := &Work{
		Seconds: seconds(from.at, to.at), ServerSeconds: seconds(from.server, to.server),
		BesideSeconds: seconds(from.beside, to.beside),
		UserSeconds:   seconds(from.user, to.user), SystemSeconds: seconds(from.system, to.system),
		OwnSeconds: seconds(from.own, to.own),
	}
	foreign := seconds(from.machine, to.machine) - work.ServerSeconds - work.OwnSeconds
	work.ForeignCores = max(0, foreign/work.Seconds)
	return work
}

var started = time.Now()

// now is a monotonic time in nanoseconds.
func now() int64 { return int64(time.Since(started)) }
