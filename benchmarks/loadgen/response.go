package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

const maxHead = 64 * 1024

// head is the part of an HTTP response before its body that matters here.
type head struct {
	status  int
	chunked bool
	close   bool
	// length is -1 when it is not declared.
	length int
}

// parseHead reads a response's head (RFC 9112 §4 and §5), which ends before the empty line.
func parseHead(text []byte) (head, error) {
	h := head{length: -1}
	line, rest, _ := bytes.Cut(text, []byte("\r\n"))
	fields := bytes.SplitN(line, []byte(" "), 3)
	if len(fields) < 2 || !bytes.HasPrefix(fields[0], []byte("HTTP/1.")) {
		return h, fmt.Errorf("no HTTP response: %.100q", line)
	}
	var err error
	if h.status, err = strconv.Atoi(string(fields[1])); err != nil {
		return h, fmt.Errorf("no status: %.100q", line)
	}
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.ToLower(bytes.TrimSpace(value))
		switch string(bytes.ToLower(name)) {
		case "transfer-encoding":
			h.chunked = bytes.Equal(value, []byte("chunked"))
		case "connection":
			h.close = bytes.Contains(value, []byte("close"))
		case "content-length":
			if h.length, err = strconv.Atoi(string(value)); err != nil {
				return h, fmt.Errorf("content-length: %w", err)
			}
		}
	}
	if h.status == 204 || h.status == 304 {
		h.chunked, h.length = false, 0
	}
	return h, nil
}

// headReader collects a head that may come in pieces.
type headReader struct {
	kept []byte
}

var endOfHead = []byte("\r\n\r\n")

// read returns the head once it is complete, and the bytes that follow it.
func (r *headReader) read(data []byte) (h head, rest []byte, done bool, err error) {
	text := data
	if len(r.kept) > 0 {
		r.kept = append(r.kept, data...)
		text = r.kept
	}
	end := bytes.Index(text, endOfHead)
	if end < 0 {
		if len(r.kept) == 0 {
			r.kept = append(r.kept, data...)
		}
		if len(r.kept) > maxHead {
			err = errors.New("the response's head has no end")
		}
		return h, nil, false, err
	}
	h, err = parseHead(text[:end])
	rest = text[end+len(endOfHead):]
	r.kept = nil
	return h, rest, true, err
}

// chunks takes HTTP/1.1 chunk framing off (RFC 9112 §7.1).
type chunks struct {
	left  int
	state uint8
	// digits is whether the size has any.
	digits bool
}

const (
	chunkSize = iota
	chunkExtension
	chunkData
	chunkEnd
	chunkLineFeed
	chunkTrailer
	chunkDone
)

// read hands payload on; after the last chunk, done is true.
func (c *chunks) read(data []byte, payload func([]byte) error) (done bool, err error) {
	for i := 0; i < len(data); {
		switch c.state {
		case chunkSize, chunkExtension:
			b := data[i]
			i++
			switch digit := hexValue(b); {
			case b == '\n' && !c.digits:
				return false, errors.New("a chunk without a size")
			case b == '\n' && c.left == 0:
				c.state = chunkTrailer
			case b == '\n':
				c.state, c.digits = chunkData, false
			case b == '\r' || c.state == chunkExtension:
			case b == ';' || b == ' ':
				c.state = chunkExtension
			case digit < 0 || c.left > 1<<28:
				return false, fmt.Errorf("bad chunk size at %.40q", data[i-1:])
			default:
				c.left, c.digits = c.left<<4|digit, true
			}
		case chunkData:
			n := min(c.left, len(data)-i)
			if err := payload(data[i : i+n]); err != nil {
				return false, err
			}
			i += n
			if c.left -= n; c.left == 0 {
				c.state = chunkEnd
			}
		case chunkEnd, chunkLineFeed:
			if data[i] != "\r\n"[c.state-chunkEnd] {
				return false, fmt.Errorf("a chunk does not end where its size says: %.40q", data[i:])
			}
			if c.state++; c.state == chunkTrailer {
				c.state = chunkSize
			}
			i++
		case chunkTrailer:
			// None of the peers sends trailers: what follows is the empty line.
			if data[i] == '\n' {
				c.state = chunkDone
				return true, nil
			}
			i++
		default:
			return false, errors.New("bytes after the last chunk")
		}
	}
	return false, nil
}

func hexValue(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b >= 'a' && b <= 'f':
		return int(b-'a') + 10
	case b >= 'A' && b <= 'F':
		return int(b-'A') + 10
	}
	return -1
}
