package main

import (
	"bytes"
	"errors"
	"fmt"
)

// An event's data begins with a marker of ten bytes: '~', topic (3), publisher (1), sequence number (4), check (1),
// in digits that mean themselves in JSON, in a form body and in an SSE line. The rest is filler of a known content,
// compared byte by byte. The send time is not in it: sender and receivers are one process, and so an event may be as
// small as its marker.
const (
	markerSize  = 10
	markerStart = '~'
	digits      = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	base        = len(digits)
	warmUp      = base - 1
)

var (
	valueOf [256]int8
	filler  []byte

	errFiller = errors.New("the data is not as it was published")
)

func init() {
	for i := range valueOf {
		valueOf[i] = -1
	}
	for i := 0; i < base; i++ {
		valueOf[digits[i]] = int8(i)
	}
}

// makeFiller prepares the content of events of a size.
func makeFiller(size int) {
	filler = bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog. "), size/45+1)[:size]
}

type mark struct {
	topic, publisher int
	sequence         uint32
}

// put writes event data: a marker, then the filler.
func (m mark) put(data []byte) {
	copy(data, filler)
	data[0] = markerStart
	putDigits(data[1:4], uint32(m.topic))
	putDigits(data[4:5], uint32(m.publisher))
	putDigits(data[5:9], m.sequence)
	data[9] = check(data)
}

func putDigits(out []byte, value uint32) {
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = digits[value%uint32(base)]
		value /= uint32(base)
	}
}

func check(marker []byte) byte {
	sum := 0
	for i := 1; i < markerSize-1; i++ {
		sum = sum*5 + int(marker[i])
	}
	return digits[sum%base]
}

func parseMarker(marker []byte) (mark, error) {
	var value [markerSize - 2]uint32
	for i := range value {
		digit := valueOf[marker[i+1]]
		if digit < 0 {
			return mark{}, fmt.Errorf("no marker: %q", marker)
		}
		value[i] = uint32(digit)
	}
	if marker[9] != check(marker) {
		return mark{}, fmt.Errorf("the marker's check is wrong: %q", marker)
	}
	return mark{
		topic:     int(value[0]<<12 | value[1]<<6 | value[2]),
		publisher: int(value[3]),
		sequence:  value[4]<<18 | value[5]<<12 | value[6]<<6 | value[7],
	}, nil
}

// scanner finds events in a stream of payload bytes, whatever is between them and however it is cut.
type scanner struct {
	position int
	marker   [markerSize]byte
}

func (s *scanner) scan(payload []byte, size int, found func(mark) error) error {
	for len(payload) > 0 {
		if s.position == 0 {
			start := bytes.IndexByte(payload, markerStart)
			if start < 0 {
				return nil
			}
			payload = payload[start:]
		}
		if s.position < markerSize {
			n := copy(s.marker[s.position:], payload)
			s.position += n
			payload = payload[n:]
			if s.position < markerSize {
				return nil
			}
		}
		n := min(size-s.position, len(payload))
		if !bytes.Equal(payload[:n], filler[s.position:s.position+n]) {
			return errFiller
		}
		s.position += n
		payload = payload[n:]
		if s.position == size {
			s.position = 0
			m, err := parseMarker(s.marker[:])
			if err != nil {
				return err
			}
			if err := found(m); err != nil {
				return err
			}
		}
	}
	return nil
}
