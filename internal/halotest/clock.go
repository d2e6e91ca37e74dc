package halotest

import (
	"math"
	"time"
)

// A Clock is a tenant's clock that began in the past and runs fast until it has
// caught up with the real one: days of traffic in minutes, with timestamps that
// lie days back. It goes into [Config.Now].
type Clock struct {
	began, from time.Time
	speed       float64
}

// NewClock shows now less ago, and from now on runs speed times as fast as time
// does, until it shows the time.
func NewClock(ago time.Duration, speed float64) *Clock {
	now := time.Now()
	return &Clock{began: now, from: now.Add(-ago), speed: max(speed, 1)}
}

// Now is what the clock shows.
func (c *Clock) Now() time.Time {
	now := time.Now()
	at := c.from.Add(time.Duration(float64(now.Sub(c.began)) * c.speed))
	if at.After(now) {
		return now
	}
	return at
}

// busy is how much of its busiest hour's work a service desk does in the hour of
// t: little at night and at weekends, most before and after lunch.
func busy(t time.Time) float64 {
	hour := float64(t.Hour()) + float64(t.Minute())/60
	hump := func(at float64) float64 { return math.Exp(-(hour - at) * (hour - at) / 5) }
	share := 0.04 + 0.96*min(1, hump(10)+hump(15))
	if d := t.Weekday(); d == time.Saturday || d == time.Sunday {
		share *= 0.15
	}
	return share
}
