package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Load says how hard to drive: so many connections, each with one request at a time, for so long or so many requests.
type Load struct {
	Conns    int
	For      time.Duration // 0: until Requests are done
	Requests int           // 0: until For is over
}

// Driven is what came of a load.
type Driven struct {
	Requests int
	Took     time.Duration
	waits    []time.Duration
}

// P50 is the time that half of the requests took at most.
func (d Driven) P50() time.Duration {
	if len(d.waits) == 0 {
		return 0
	}
	waits := slices.Clone(d.waits)
	slices.Sort(waits)
	return waits[len(waits)/2]
}

// Drive sends requests over connections that are kept alive. It knows as much of HTTP as it needs, so that the client
// takes as little as possible of the machine it shares with what is measured. Any status but the target's is an error.
func Drive(ctx context.Context, t Target, l Load) (Driven, error) {
	ctx, cancel := context.WithTimeout(ctx, l.For+time.Minute)
	defer cancel()
	var (
		wg   sync.WaitGroup
		next atomic.Int64
		mu   sync.Mutex
		all  Driven
		errs []error
	)
	began := time.Now()
	for range l.Conns {
		wg.Go(func() {
			waits, err := driveOne(ctx, t, l, began, &next)
			mu.Lock()
			defer mu.Unlock()
			all.waits = append(all.waits, waits...)
			errs = append(errs, err)
		})
	}
	wg.Wait()
	all.Took, all.Requests = time.Since(began), len(all.waits)
	return all, errors.Join(errs...)
}

func driveOne(ctx context.Context, t Target, l Load, began time.Time, next *atomic.Int64) ([]time.Duration, error) {
	c, err := dial(ctx, t.Addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var waits []time.Duration
	for l.For == 0 || time.Since(began) < l.For {
		if n := next.Add(1); l.Requests > 0 && n > int64(l.Requests) {
			break
		}
		asked := time.Now()
		if err := c.ask(t.request(), t.Status); err != nil {
			return waits, fmt.Errorf("%s: %w", t.Name, err)
		}
		waits = append(waits, time.Since(asked))
	}
	return waits, nil
}

// conn is one connection.
type conn struct {
	net.Conn
	r *bufio.Reader
}

func dial(ctx context.Context, addr string) (*conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	return &conn{c, bufio.NewReader(c)}, c.SetDeadline(deadline)
}

// ask sends a request and reads its answer, whose length must be stated.
func (c *conn) ask(request []byte, want int) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < 12 || string(line[9:12]) != strconv.Itoa(want) {
		return fmt.Errorf("got %q, want status %d", strings.TrimSpace(string(line)), want)
	}
	length := 0
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			_, err := io.CopyN(io.Discard, c.r, int64(length))
			return err
		}
		const name = "content-length:"
		if len(line) > len(name) && strings.EqualFold(string(line[:len(name)]), name) {
			if length, err = strconv.Atoi(strings.TrimSpace(string(line[len(name):]))); err != nil {
				return err
			}
		}
	}
}
