package deploy_test

import (
	"fmt"
	"net/http"
	"strings"

	"koubei-landing/internal/testworld"
)

// unavailable sends requests of a browser and of a program with a session, and returns the results.
func unavailable(s *site, b *testworld.Browser) string {
	before := s.app.count()
	cells := map[string]bool{}
	for _, a := range []testworld.Answer{b.Do(s.get("/shop")), s.program(b).Do(s.request("POST", "/api/orders", strings.NewReader("{}")))} {
		cell := fmt.Sprint(a.StatusCode)
		if a.Header.Get("Retry-After") != "" {
			cell += ", Retry-After"
		}
		cells[cell] = true
	}
	if s.app.count() != before {
		s.t.Error("a request that wasn't checked reached the application")
	}
	return keys(cells)
}

func tryNoRedis(s *site) string {
	b := s.signedIn(testworld.Provider)
	s.Redis.Kill()
	cell := unavailable(s, b)
	s.Redis.Start()
	s.stops(b, s.get("/shop"), http.StatusSeeOther) // Redis has lost the session
	return cell
}

func tryNoService(s *site) string {
	b := s.signedIn(testworld.Provider)
	s.stopChecks()
	return unavailable(s, b)
}

func tryHangingService(s *site) string {
	b := s.signedIn(testworld.Provider)
	close(s.checks.hang)
	return unavailable(s, b)
}
