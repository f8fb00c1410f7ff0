package main

import (
	"encoding/binary"
	"fmt"
)

const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// frames takes WebSocket framing off what a server sends (RFC 6455 §5.2).
type frames struct {
	header  [10]byte
	have    int
	left    int
	opcode  byte
	control []byte
	inside  bool
}

// read hands the payload of messages on, and whole control frames to control.
func (f *frames) read(data []byte, payload func([]byte) error, control func(opcode byte, payload []byte) error) error {
	for len(data) > 0 || (f.inside && f.left == 0) {
		if !f.inside {
			f.header[f.have] = data[0]
			f.have++
			data = data[1:]
			if !f.headerComplete() {
				continue
			}
			f.have, f.inside = 0, true
			f.opcode = f.header[0] & 15
			if f.header[1]&128 != 0 || f.header[0]&0x70 != 0 {
				return fmt.Errorf("a frame is masked or uses an extension: % x", f.header[:2])
			}
			f.control = f.control[:0]
		}
		n := min(f.left, len(data))
		if f.opcode >= opClose {
			f.control = append(f.control, data[:n]...)
		} else if n > 0 {
			if err := payload(data[:n]); err != nil {
				return err
			}
		}
		data = data[n:]
		if f.left -= n; f.left == 0 {
			f.inside = false
			if f.opcode >= opClose {
				if err := control(f.opcode, f.control); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (f *frames) headerComplete() bool {
	if f.have < 2 {
		return false
	}
	switch length := f.header[1] & 127; {
	case length < 126:
		f.left = int(length)
		return true
	case length == 126:
		f.left = int(binary.BigEndian.Uint16(f.header[2:4]))
		return f.have == 4
	default:
		f.left = int(binary.BigEndian.Uint64(f.header[2:10]))
		return f.have == 10
	}
}

// clientFrame makes a frame as a client sends it. The masking key is zero, which is a key like any other.
func clientFrame(opcode byte, payload []byte) []byte {
	frame := []byte{128 | opcode}
	if len(payload) < 126 {
		frame = append(frame, 128|byte(len(payload)))
	} else {
		frame = append(frame, 128|126)
		frame = binary.BigEndian.AppendUint16(frame, uint16(len(payload)))
	}
	frame = append(frame, 0, 0, 0, 0)
	return append(frame, payload...)
}
