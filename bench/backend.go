package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/app"
	"koubei-landing/internal/session"
)

// Backend is a Redis that replicas share: one server, or a cluster.
type Backend struct {
	Name  string
	env   []string              // what a service is told of it
	rdb   redis.UniversalClient // to all of it
	nodes []node
}

// node is one server, asked by itself for its books.
type node struct {
	*Process
	client *redis.Client
}

// Single is the one Redis that everything else in the rig uses too.
func (r *Rig) Single() (*Backend, error) {
	client, ok := r.rdb.(*redis.Client)
	if !ok {
		return nil, fmt.Errorf("a single Redis is asked by a %T", r.rdb)
	}
	return &Backend{Name: "one Redis", rdb: r.rdb, nodes: []node{{r.Redis, client}}}, nil
}

// masters is how many a cluster needs at least.
const masters = 3

// NewCluster starts a cluster of three masters, which share the slots evenly. It ends with the rig.
func (r *Rig) NewCluster(ctx context.Context) (*Backend, error) {
	b := &Backend{Name: "three masters"}
	var first string
	for i := range masters {
		addr, bus, err := r.startMaster(ctx, b, i)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = addr
			continue
		}
		_, port, _ := strings.Cut(addr, ":")
		if err := b.nodes[0].client.Do(ctx, "cluster", "meet", "127.0.0.1", port, bus).Err(); err != nil {
			return nil, err
		}
	}
	for _, n := range b.nodes {
		if err := within(ctx, n.Process, n.knowsAll); err != nil {
			return nil, err
		}
	}
	url := "redis://" + first
	b.env = []string{"REDIS_MODE=cluster", "REDIS_URL=" + url}
	var err error
	if b.rdb, err = app.OpenRedis(app.Redis{URL: url, Mode: app.Cluster, Timeout: 2 * time.Second}); err != nil {
		return nil, err
	}
	r.closers = append(r.closers, b.rdb)
	return b, nil
}

// startMaster starts one master with its share of the slots, and returns its address and the port of its bus.
func (r *Rig) startMaster(ctx context.Context, b *Backend, i int) (addr, bus string, err error) {
	const slots = 16384
	if addr, err = freeAddr(); err != nil {
		return "", "", err
	}
	busAddr, err := freeAddr()
	if err != nil {
		return "", "", err
	}
	_, port, _ := strings.Cut(addr, ":")
	_, bus, _ = strings.Cut(busAddr, ":")
	p, err := r.run("master-"+strconv.Itoa(i), nil, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", r.dir,
		"--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-config-file", "master-"+strconv.Itoa(i)+".conf")
	if err != nil {
		return "", "", err
	}
	client := redis.NewClient(&redis.Options{Addr: addr})
	r.closers = append(r.closers, client)
	b.nodes = append(b.nodes, node{p, client})
	if err := within(ctx, p, func(ctx context.Context) error { return client.Ping(ctx).Err() }); err != nil {
		return "", "", err
	}
	return addr, bus, client.ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1).Err()
}

// knowsAll reports that a node has heard of the others and that all slots are served.
func (n node) knowsAll(ctx context.Context) error {
	info, err := n.client.ClusterInfo(ctx).Result()
	if err == nil && !strings.Contains(info, "cluster_state:ok\r\n") {
		err = errors.New("the cluster isn't ready")
	}
	return err
}

// books are the numbers of INFO, with the calls of each command, added up over the nodes.
func (b *Backend) books(ctx context.Context) (map[string]float64, error) {
	books := map[string]float64{}
	for _, n := range b.nodes {
		text, err := n.client.Info(ctx, "stats", "commandstats").Result()
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			value, _, _ = strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			if n, err := strconv.ParseFloat(value, 64); err == nil {
				books[name] += n
			}
		}
	}
	return books, nil
}

// cpu is what all nodes have used so far.
func (b *Backend) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, n := range b.nodes {
		cpu, err := n.CPU()
		if err != nil {
			return 0, err
		}
		sum += cpu
	}
	return sum, nil
}

// cookies makes so many sessions there and returns their cookies as header lines, to be sent in turn.
func (r *Rig) cookies(ctx context.Context, b *Backend, n int) ([]string, error) {
	tokens, err := r.sessions(ctx, b.rdb, n)
	if err != nil {
		return nil, err
	}
	lines := make([]string, n)
	for i, token := range tokens {
		lines[i] = cookieLine(token)
	}
	return lines, nil
}

func cookieLine(token session.Token) string { return "Cookie: koubei_session=" + string(token) }
