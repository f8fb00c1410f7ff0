package main

import "math/bits"

// Histogram counts durations in log-linear buckets, as an HDR histogram of two digits does: 128 buckets for each power
// of two, so that a value is off by less than 0.8 %.
type Histogram struct {
	counts [58 * 128]uint64
	total  uint64
	max    int64
}

// Record counts a duration in nanoseconds, n times.
func (h *Histogram) Record(nanoseconds int64, n uint64) {
	if nanoseconds < 0 {
		nanoseconds = 0
	}
	h.counts[bucket(nanoseconds)] += n
	h.total += n
	if nanoseconds > h.max {
		h.max = nanoseconds
	}
}

func bucket(value int64) int {
	shift := bits.Len64(uint64(value)) - 8
	if shift <= 0 {
		return int(value)
	}
	return shift<<7 + int(value>>shift)
}

func upper(bucket int) int64 {
	if bucket < 256 {
		return int64(bucket)
	}
	shift := bucket>>7 - 1
	return int64(bucket-shift<<7+1)<<shift - 1
}

// Quantile returns the duration in nanoseconds that the share of all values does not pass.
func (h *Histogram) Quantile(share float64) int64 {
	want := uint64(share * float64(h.total))
	var seen uint64
	for i, count := range h.counts {
		seen += count
		if seen > want {
			return min(upper(i), h.max)
		}
	}
	return h.max
}

// Latency is a histogram as the report shows it, in microseconds.
type Latency struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99_9"`
	Max   float64 `json:"max"`
}

// Report returns what of a histogram is reported.
func (h *Histogram) Report() *Latency {
	us := func(share float64) float64 { return float64(h.Quantile(share)) / 1e3 }
	return &Latency{h.total, us(0.5), us(0.9), us(0.99), us(0.999), float64(h.max) / 1e3}
}
