// The counter on Go-kit, with the concerns that falconkit's has: its limiter, its statsd and expvar
// counters, its timing, its JSON log and its request context.
//
//	gokit -addr 127.0.0.1:8901 -serve full     serve POST /add through Go-kit
//	gokit -addr 127.0.0.1:8901 -serve bare     serve it by net/http alone
//	gokit -time 1000000                        print the nanoseconds that the middlewares add to a call
package main

import (
	"context"
	"encoding/json"
	"expvar"
	"flag"
	"fmt"
	stdlog "log"
	"net/http"
	"os"
	"runtime"
	"sort"
	"sync/atomic"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/metrics"
	kitexpvar "github.com/go-kit/kit/metrics/expvar"
	"github.com/go-kit/kit/metrics/statsd"
	"github.com/go-kit/kit/ratelimit"
	httptransport "github.com/go-kit/kit/transport/http"
	"github.com/go-kit/log"
	"golang.org/x/time/rate"
)

type amount struct {
	V int64 `json:"v"`
}

var total atomic.Int64

func add(_ context.Context, request interface{}) (interface{}, error) {
	return amount{total.Add(request.(amount).V)}, nil
}

func logging(logger log.Logger) endpoint.Middleware {
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request interface{}) (result interface{}, err error) {
			defer func(began time.Time) {
				_ = logger.Log(
					"method", ctx.Value(httptransport.ContextKeyRequestMethod),
					"path", ctx.Value(httptransport.ContextKeyRequestPath),
					"request", request, "result", result, "err", err,
					"request_id", ctx.Value(httptransport.ContextKeyRequestXRequestID),
					"elapsed", time.Since(began).Seconds())
			}(time.Now())
			return next(ctx, request)
		}
	}
}

func measuring(counts []metrics.Counter, seconds metrics.Histogram) endpoint.Middleware {
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request interface{}) (interface{}, error) {
			defer func(began time.Time) {
				for _, count := range counts {
					count.Add(1)
				}
				seconds.Observe(float64(time.Since(began)) / float64(time.Millisecond))
			}(time.Now())
			return next(ctx, request)
		}
	}
}

func chained(statsdAddr string) endpoint.Endpoint {
	// The same sink as everybody's here: what a log costs by itself, not a disk.
	sink, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		stdlog.Fatal(err)
	}
	logger := log.With(log.NewJSONLogger(log.NewSyncWriter(sink)), "ts", log.DefaultTimestampUTC)
	sent := statsd.New("gokit.", log.NewNopLogger())
	go sent.SendLoop(context.Background(), time.Tick(10*time.Second), "udp", statsdAddr)
	counts := []metrics.Counter{sent.NewCounter("request.count", 1), kitexpvar.NewCounter("request.count")}
	limiter := rate.NewLimiter(1_000_000, 1_000_000)
	return endpoint.Chain(
		logging(logger),
		measuring(counts, sent.NewTiming("request.ms", 1)),
		ratelimit.NewErroringLimiter(limiter),
	)(add)
}

func decode(_ context.Context, r *http.Request) (interface{}, error) {
	var request amount
	err := json.NewDecoder(r.Body).Decode(&request)
	return request, err
}

func bare(w http.ResponseWriter, r *http.Request) {
	request, err := decode(r.Context(), r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	response, _ := add(r.Context(), request)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(response)
}

// perCall is the median of a few rounds, in nanoseconds.
func perCall(e endpoint.Endpoint, calls int) float64 {
	ctx := context.WithValue(context.Background(), httptransport.ContextKeyRequestPath, "/add")
	ctx = context.WithValue(ctx, httptransport.ContextKeyRequestMethod, "POST")
	ctx = context.WithValue(ctx, httptransport.ContextKeyRequestXRequestID, "9c248150-03ac-4b24-b5a7-f7c1f0fb05ed")
	rounds := make([]float64, 11)
	for round := range rounds {
		began := time.Now()
		for i := 0; i < calls/11; i++ {
			_, _ = e(ctx, amount{1})
		}
		rounds[round] = float64(time.Since(began)) / float64(calls/11)
	}
	sort.Float64s(rounds)
	return rounds[5]
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8901", "where to serve")
	serve := flag.String("serve", "full", "full or bare")
	statsdAddr := flag.String("statsd", "127.0.0.1:8125", "where metrics are sent")
	calls := flag.Int("time", 0, "time so many calls instead")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	if *calls > 0 {
		fmt.Printf("%.1f\n", perCall(chained(*statsdAddr), *calls)-perCall(add, *calls))
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/debug/vars", expvar.Handler())
	if *serve == "bare" {
		mux.HandleFunc("/add", bare)
	} else {
		mux.Handle("/add", httptransport.NewServer(
			chained(*statsdAddr), decode, httptransport.EncodeJSONResponse,
			httptransport.ServerBefore(httptransport.PopulateRequestContext)))
	}
	stdlog.Fatal(http.ListenAndServe(*addr, mux))
}
