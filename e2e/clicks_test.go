package e2e_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
)

// fields is a script that reads both halves of the ISV's page: the operator of its back end, and that of its front end.
const fields = `[...document.querySelectorAll("#back-end [data-field], #browser [data-field]")]
	.filter(dd => dd.dataset.field !== "expires_at").map(dd => dd.dataset.field + " " + dd.textContent)`

// arrives waits until the tab shows the ISV's page, and checks that both of its halves show p.
func (b *tab) arrives(d *demo, p person) {
	b.t.Helper()
	b.at(d.shop(p))
	b.see("#browser[data-answered]")
	half := []string{"operator_id " + p.id, "operator_type " + p.typ, "partner_id " + p.partner, "shop_ids " + p.shops}
	if got, want := get(b, chromedp.Evaluate[[]string](fields)), slices.Concat(half, half); !slices.Equal(got, want) {
		b.t.Errorf("the page says %q, want %q", got, want)
	}
}

// TestClickThrough opens all pages in order: portal, landing, the ISV's page, the identity page, sign-out.
func TestClickThrough(t *testing.T) {
	d := startDemo(t)
	for _, p := range everybody {
		t.Run(p.name, func(t *testing.T) {
			b := newBrowser(t)
			b.open(d.portal)
			b.click("[data-person=" + p.name + "]")
			b.arrives(d, p)
			d.wantCalls(d.lastCode(), "success")

			b.click("#identity")
			b.see("#partners")
			if got := b.text("#operator-id"); got != p.id {
				t.Errorf("the identity page says %q, want %q", got, p.id)
			}
			b.see(fmt.Sprintf("[data-current][data-partner=%q]", p.partner))
			b.tokens(d)

			b.click("#sign-out")
			b.at(d.service + "signed-out")
			if got := b.tokens(d); len(got) != 0 {
				t.Errorf("signing out left the session's cookie")
			}
			b.open(d.shop(p))
			b.at(d.service + "signin")
			b.click("#entry")
			b.at(d.portal)
		})
	}
}
