package soak_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"koubei-landing/koubeisim"
)

// visitors are all clients of a test. They share their connections, as behind a proxy.
type visitors struct {
	w         *world
	transport *http.Transport
	serial    atomic.Int64
	requests  atomic.Int64
	visits    atomic.Int64

	mu     sync.Mutex
	failed []error
	slow   time.Duration // the longest request
	what   string        // its method and path
}

// atOnce is the number of connections that the visitors keep to each listener.
const atOnce = 32

func newVisitors(w *world) *visitors {
	c := &visitors{w: w, transport: &http.Transport{MaxIdleConnsPerHost: atOnce, MaxConnsPerHost: atOnce}}
	w.t.Cleanup(c.transport.CloseIdleConnections)
	return c
}

// perVisit is the number of requests of a visit.
const perVisit = 14

// visit makes the requests of one visitor: arrival hop, landing, ten checks of the proxy, /session, and for every second
// visitor the sign-out.
func (c *visitors) visit() {
	err := c.visitOnce()
	c.visits.Add(1)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.failed = append(c.failed, err)
	}
}

func (c *visitors) visitOnce() error {
	n := c.serial.Add(1)
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	browser := &http.Client{Transport: c.transport, Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	person := koubeisim.Person{OperatorID: fmt.Sprintf("2088%012d", n), OperatorType: "MER", PartnerID: fmt.Sprintf("2088%012d", n)}
	link := c.w.koubei.LandingURL(c.w.koubei.Issue(person), koubeisim.Observed)
	location, err := c.ask(browser, http.MethodGet, link, http.StatusSeeOther)
	if err != nil {
		return err
	}
	if location, err = c.ask(browser, http.MethodGet, location, http.StatusSeeOther); err != nil {
		return err
	}
	if strings.Contains(location, "code=") {
		return fmt.Errorf("the landing led to %q", location)
	}
	for range 10 {
		if _, err := c.ask(browser, http.MethodGet, c.w.internal+"/auth/verify", http.StatusOK); err != nil {
			return err
		}
	}
	if _, err := c.ask(browser, http.MethodGet, c.w.public+"/session", http.StatusOK); err != nil {
		return err
	}
	if n%2 == 0 { // the others close the window
		_, err = c.ask(browser, http.MethodPost, c.w.public+"/logout", http.StatusSeeOther)
	} else {
		_, err = c.ask(browser, http.MethodGet, c.w.public+"/", http.StatusOK)
	}
	return err
}

// ask sends a request and returns the redirect's address.
func (c *visitors) ask(browser *http.Client, method, address string, want int) (string, error) {
	r, err := http.NewRequest(method, address, nil)
	if err != nil {
		return "", err
	}
	r.Header = http.Header{"Accept": {"text/html"}, "User-Agent": {"Mozilla/5.0 (soak)"}, "Sec-Fetch-Mode": {"navigate"}, "Origin": {c.w.public}}
	if strings.HasPrefix(address, c.w.internal) { // a cookie jar ignores the port
		r.Header.Del("Sec-Fetch-Mode")
	}
	began := time.Now()
	a, err := browser.Do(r)
	if err != nil {
		return "", withoutQuery(err)
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		return "", err
	}
	c.took(r, time.Since(began))
	if a.StatusCode != want {
		return "", fmt.Errorf("%s %s: got %d, want %d: %.200s", method, r.URL.Path, a.StatusCode, want, body)
	}
	if a.Header.Get("Location") == "" {
		return "", nil
	}
	next, err := r.URL.Parse(a.Header.Get("Location"))
	if err != nil {
		return "", err
	}
	return next.String(), nil
}

func (c *visitors) took(r *http.Request, d time.Duration) {
	c.requests.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if d > c.slow {
		c.slow, c.what = d, r.Method+" "+r.URL.Path
	}
}

func withoutQuery(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// capacity has atOnce visitors make one visit after another, as fast as possible, and returns the visits per second.
func (c *visitors) capacity(atOnce int, d time.Duration) float64 {
	before, began := c.visits.Load(), time.Now()
	end := make(chan struct{})
	time.AfterFunc(d, func() { close(end) })
	var group sync.WaitGroup
	for range atOnce {
		group.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
					c.visit()
				}
			}
		})
	}
	group.Wait()
	return float64(c.visits.Load()-before) / time.Since(began).Seconds()
}

// steady begins perSecond visits per second, even if earlier ones are slow, and calls sample every interval.
func (c *visitors) steady(perSecond float64, d, interval time.Duration, sample func()) {
	end := make(chan struct{})
	began := time.Now()
	time.AfterFunc(d, func() { close(end) })
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { every(interval, end, sample) })
	begun := 0
	every(5*time.Millisecond, end, func() {
		for due := int(time.Since(began).Seconds() * perSecond); begun < due; begun++ {
			running.Go(c.visit)
		}
	})
}

func every(interval time.Duration, end <-chan struct{}, do func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			do()
		case <-end:
			return
		}
	}
}
