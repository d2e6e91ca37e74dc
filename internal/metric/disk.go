package metric

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
)

// Disk shows the free bytes of the disk that store writes to, and the floor
// below which it takes no records any more. space is asked at each scrape.
func Disk(reg prometheus.Registerer, store string, space func() (free, floor uint64, err error)) {
	label := prometheus.Labels{"store": store}
	Register(reg, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "halo_disk_free_bytes", ConstLabels: label,
		Help: "Bytes that may still be written to the store's disk; NaN where it cannot be asked. " +
			"Other programs on the same disk eat from it too. Only of engines that run inside this process.",
	}, func() float64 {
		free, _, err := space()
		if err != nil {
			return math.NaN()
		}
		return float64(free)
	}))
	Register(reg, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "halo_disk_floor_bytes", ConstLabels: label,
		Help: "Free bytes below which the store refuses records, so that deliveries are answered 503. " +
			"It takes them again only a quarter above.",
	}, func() float64 {
		_, floor, err := space()
		if err != nil {
			return math.NaN()
		}
		return float64(floor)
	}))
}
