package main

import (
	"fmt"
	"net"
	"strconv"
	"syscall"
	"unsafe"
)

// Sockets are used by their numbers and one epoll set: a goroutine and a buffer each would cost more than the servers
// that are measured.

func parseAddress(address string) (*syscall.SockaddrInet4, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	ip := net.ParseIP(host).To4()
	number, err := strconv.Atoi(port)
	if ip == nil || !ip.IsLoopback() || err != nil {
		return nil, fmt.Errorf("%q is no IPv4 loopback address and port", address)
	}
	result := &syscall.SockaddrInet4{Port: number}
	copy(result.Addr[:], ip)
	return result, nil
}

func (r *run) connect(address *syscall.SockaddrInet4) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	if err := syscall.Connect(fd, address); err != nil && err != syscall.EINPROGRESS {
		return -1, fmt.Errorf("connect: %w", err)
	}
	event := syscall.EpollEvent{Fd: int32(fd), Events: syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | edgeTriggered}
	if err := syscall.EpollCtl(r.epoll, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
		return -1, fmt.Errorf("epoll_ctl: %w", err)
	}
	for len(r.sockets) <= fd {
		r.sockets = append(r.sockets, nil)
	}
	return fd, nil
}

// syscall.EPOLLET is a negative number.
const edgeTriggered = 1 << 31

func connectError(fd int) error {
	code, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err == nil && code != 0 {
		err = syscall.Errno(code)
	}
	return err
}

// closeHard closes with a reset, so that thousands of sockets do not stay in TIME_WAIT.
func closeHard(fd int) {
	_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	_ = syscall.Close(fd)
}

// read and write never block, so the Go runtime need not know of them.

func read(fd int, into []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&into[0])), uintptr(len(into)))
	return int(n), errno
}

func write(fd int, data []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)),
		syscall.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// writeAll writes a few bytes, which an otherwise silent socket always takes.
func writeAll(fd int, data []byte) error {
	if n, errno := write(fd, data); errno != 0 || n != len(data) {
		return fmt.Errorf("subscriber: wrote %d of %d bytes: %v", n, len(data), errno)
	}
	return nil
}

// wait returns ready sockets, or none after a time in nanoseconds (never, when it is negative).
func (r *run) wait(nanoseconds int64) ([]syscall.EpollEvent, error) {
	var timeout *syscall.Timespec
	if nanoseconds >= 0 {
		spec := syscall.NsecToTimespec(nanoseconds)
		timeout = &spec
	}
	n, _, errno := syscall.Syscall6(sysEpollPwait2, uintptr(r.epoll), uintptr(unsafe.Pointer(&r.events[0])),
		uintptr(len(r.events)), uintptr(unsafe.Pointer(timeout)), 0, 0)
	if errno == syscall.EINTR {
		return nil, nil
	}
	if errno != 0 {
		return nil, fmt.Errorf("epoll_pwait2 (Linux 5.11): %w", errno)
	}
	return r.events[:n], nil
}

const sysEpollPwait2 = 441
