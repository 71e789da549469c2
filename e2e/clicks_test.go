package e2e_test

import (
	"fmt"
	"slices"
	"testing"

	"koubei-landing/internal/testworld/chromium"
	"koubei-landing/koubeisim"
)

// fields is a script that reads both halves of the ISV's page: the operator of its back end, and that of its front end.
const fields = `[...document.querySelectorAll("#back-end [data-field], #browser [data-field]")]
	.filter(dd => dd.dataset.field !== "expires_at").map(dd => dd.dataset.field + " " + dd.textContent)`

// arrives waits until the tab shows the ISV's page, and checks that both of its halves show p.
func (b tab) arrives(d *demo, p koubeisim.Person) {
	b.T.Helper()
	b.At(d.shop(p))
	b.See("#browser[data-answered]")
	half := []string{"operator_id " + p.OperatorID, "operator_type " + p.OperatorType, "partner_id " + p.PartnerID, "shop_ids " + p.ShopIDs}
	if got, want := chromium.Eval[[]string](b.Tab, fields), slices.Concat(half, half); !slices.Equal(got, want) {
		b.T.Errorf("the page says %q, want %q", got, want)
	}
}

// TestClickThrough opens all pages in order: portal, landing, the ISV's page, the identity page, sign-out.
func TestClickThrough(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	for _, name := range []string{"provider", "provider-none", "provider-staff", "provider-staff-none", "mer", "mer-none",
		"mer-staff", "mer-staff-none", "sales", "sales-none"} {
		t.Run(name, func(t *testing.T) {
			p := personNamed(name)
			b := newBrowser(t)
			b.Open(d.portal)
			b.Click("[data-person=" + name + "]")
			b.arrives(d, p)
			d.wantCalls(d.lastCode(), "success")

			b.Click("#identity")
			b.See("#partners")
			if got := b.Text("#operator-id"); got != p.OperatorID {
				t.Errorf("the identity page says %q, want %q", got, p.OperatorID)
			}
			b.See(fmt.Sprintf("[data-current][data-partner=%q]", p.PartnerID))
			b.tokens(d)

			b.Click("#sign-out")
			b.At(d.service + "signed-out")
			if got := b.tokens(d); len(got) != 0 {
				t.Errorf("signing out left the session's cookie")
			}
			b.Open(d.shop(p))
			b.At(d.service + "signin")
			b.Click("#entry")
			b.At(d.portal)
		})
	}
}
