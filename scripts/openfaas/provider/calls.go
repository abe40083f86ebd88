package main

import (
	"net/http"
	"strconv"
	"time"
)

// vector is an answer of Prometheus' HTTP API, as far as the gateway reads it (gateway/metrics/
// prometheus_query.go). Without an answer to its question the gateway breaks off every list of functions.
type vector struct {
	Status string `json:"status"`
	Data   struct {
		Type   string   `json:"resultType"`
		Result []sample `json:"result"`
	} `json:"data"`
}

type sample struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"` // seconds since 1970, and the number as text
}

// countCalls answers the only question that the gateway asks, whatever its words.
func (f *functions) countCalls(w http.ResponseWriter, _ *http.Request) {
	f.lock.RLock()
	defer f.lock.RUnlock()
	counted := vector{Status: "success"}
	counted.Data.Type = "vector"
	counted.Data.Result = []sample{}
	for name, each := range f.byName {
		counted.Data.Result = append(counted.Data.Result, sample{
			Metric: map[string]string{"function_name": name + "." + namespace},
			Value:  [2]any{time.Now().Unix(), strconv.FormatUint(each.calls.Load(), 10)},
		})
	}
	answer(w, counted)
}
