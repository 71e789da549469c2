package koubeisim

import "slices"

// role is one type of operator on the portal, with the people who have it.
type role struct {
	Type string
	text
	entrants []entrant
}

// entrant is a person that a visitor can be.
type entrant struct {
	name string
	text
	person Person
}

const (
	noodleBar   = "2088102150477653"
	coffeeHouse = "2088102150477701"
	noodleShops = "2015060900077000000000152345,2015060900077000000000152346"
	coffeeShops = "2016110300077000000000201188"
)

// roles are the people of the portal. A provider's people and sales staff are the same person for every merchant, so that
// several tabs of one operator can be tried. A merchant's people belong to it.
var roles = []role{
	{"PROVIDER", text{"服务商", "Service provider"}, threeEntrants("provider",
		Person{"2088102150477652", "PROVIDER", noodleBar, ""},
		Person{"2088102150477652", "PROVIDER", coffeeHouse, ""})},
	{"PROVIDER_STAFF", text{"服务商员工", "Provider's employee"}, threeEntrants("provider-staff",
		Person{"2088102150477660", "PROVIDER_STAFF", noodleBar, noodleShops},
		Person{"2088102150477660", "PROVIDER_STAFF", coffeeHouse, coffeeShops})},
	{"MER", text{"商户", "Merchant"}, threeEntrants("mer", // a merchant is its own partner
		Person{noodleBar, "MER", noodleBar, ""},
		Person{coffeeHouse, "MER", coffeeHouse, ""})},
	{"MER_STAFF", text{"商户员工", "Merchant's employee"}, threeEntrants("mer-staff",
		Person{"2088102150477670", "MER_STAFF", noodleBar, noodleShops},
		Person{"2088102150477671", "MER_STAFF", coffeeHouse, coffeeShops})},
	{"SALES", text{"阿里销售小二", "Alibaba's sales staff"}, threeEntrants("sales",
		Person{"2088102150477680", "SALES", noodleBar, ""},
		Person{"2088102150477680", "SALES", coffeeHouse, ""})},
	{"SYSTEM", text{"未知类型", "Unknown type"}, threeEntrants("unknown", // only other interfaces know it
		Person{"2088102150477690", "SYSTEM", noodleBar, ""},
		Person{"2088102150477690", "SYSTEM", coffeeHouse, ""})},
}

// threeEntrants returns a person at the first merchant, at the second, and without a merchant.
func threeEntrants(name string, first, second Person) []entrant {
	alone := first
	alone.PartnerID, alone.ShopIDs = "", ""
	return []entrant{
		{name, text{"张记面馆", "Zhang's Noodle Bar"}, first},
		{name + "-b", text{"海风咖啡", "Sea Breeze Coffee"}, second},
		{name + "-none", text{"不带商户", "No merchant"}, alone},
	}
}

// PersonNamed returns a person of the portal: provider, provider-staff, mer, mer-staff, sales or unknown, who act for a
// first merchant; with -b appended for a second merchant, with -none for none.
func PersonNamed(name string) (Person, bool) {
	for _, r := range roles {
		if i := slices.IndexFunc(r.entrants, func(e entrant) bool { return e.name == name }); i >= 0 {
			return r.entrants[i].person, true
		}
	}
	return Person{}, false
}
