package main

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// family is one metric of objects of a kind; labels come after those that name the object.
type family[T metav1.Object] struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	samples    func(T) []sample
}

// sample is one series of one object: the values of the family's labels, and its own.
type sample struct {
	labels []string
	value  float64
}

// gauge is a family of gauges.
func gauge[T metav1.Object](name, help string, labels []string, samples func(T) []sample) family[T] {
	return family[T]{name, help, prometheus.GaugeValue, labels, samples}
}

// number is a gauge that each object has once.
func number[T metav1.Object](name, help string, of func(T) int32) family[T] {
	return gauge(name, help, nil, func(object T) []sample {
		return []sample{{value: float64(of(object))}}
	})
}

// objects collects the families of one kind at each scrape.
type objects[T metav1.Object] struct {
	identify func(T) []string
	list     func(labels.Selector) ([]T, error)
	families []family[T]
	descs    []*prometheus.Desc
}

// newObjects has the families of a kind; identity are the labels that name an object of it, whose
// values identify gives.
func newObjects[T metav1.Object](
	identity []string, identify func(T) []string, list func(labels.Selector) ([]T, error), families ...family[T],
) *objects[T] {
	o := &objects[T]{identify: identify, list: list, families: families}
	for _, one := range families {
		all := append(append([]string{}, identity...), one.labels...)
		o.descs = append(o.descs, prometheus.NewDesc(one.name, one.help, all, nil))
	}
	return o
}

// Describe implements prometheus.Collector.
func (o *objects[T]) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range o.descs {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (o *objects[T]) Collect(metrics chan<- prometheus.Metric) {
	all, err := o.list(labels.Everything())
	if err != nil {
		metrics <- prometheus.NewInvalidMetric(o.descs[0], err)
		return
	}
	for _, object := range all {
		identity := o.identify(object)
		for i, one := range o.families {
			seen := map[string]bool{}
			for _, s := range one.samples(object) {
				// One series that is there twice would fail the whole scrape.
				key := strings.Join(s.labels, "\x00")
				if seen[key] {
					continue
				}
				seen[key] = true
				values := append(append([]string{}, identity...), s.labels...)
				metrics <- prometheus.MustNewConstMetric(o.descs[i], one.kind, s.value, values...)
			}
		}
	}
}

// namespaced names an object by its namespace and name.
func namespaced[T metav1.Object](object T) []string {
	return []string{object.GetNamespace(), object.GetName()}
}
