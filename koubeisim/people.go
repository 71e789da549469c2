package koubeisim

import "slices"

// role is one kind of operator on the portal, with the people who play it.
type role struct {
	Type     string
	zh, en   string
	entrants []entrant
}

// entrant is somebody a visitor can be, under a name that stays.
type entrant struct {
	name   string
	zh, en string
	person Person
}

const (
	noodleBar   = "2088102150477653"
	coffeeHouse = "2088102150477701"
	noodleShops = "2015060900077000000000152345,2015060900077000000000152346"
	coffeeShops = "2016110300077000000000201188"
)

// roles are the cast. Provider's people and sales staff are the same person for every merchant, so that several tabs
// of one operator can be tried; a merchant's people belong to it.
var roles = []role{
	{"PROVIDER", "服务商", "Service provider", threeWays("provider",
		Person{"2088102150477652", "PROVIDER", noodleBar, ""},
		Person{"2088102150477652", "PROVIDER", coffeeHouse, ""})},
	{"PROVIDER_STAFF", "服务商员工", "Provider's employee", threeWays("provider-staff",
		Person{"2088102150477660", "PROVIDER_STAFF", noodleBar, noodleShops},
		Person{"2088102150477660", "PROVIDER_STAFF", coffeeHouse, coffeeShops})},
	{"MER", "商户", "Merchant", threeWays("mer", // a merchant is its own partner
		Person{noodleBar, "MER", noodleBar, ""},
		Person{coffeeHouse, "MER", coffeeHouse, ""})},
	{"MER_STAFF", "商户员工", "Merchant's employee", threeWays("mer-staff",
		Person{"2088102150477670", "MER_STAFF", noodleBar, noodleShops},
		Person{"2088102150477671", "MER_STAFF", coffeeHouse, coffeeShops})},
	{"SALES", "阿里销售小二", "Alibaba's sales staff", threeWays("sales",
		Person{"2088102150477680", "SALES", noodleBar, ""},
		Person{"2088102150477680", "SALES", coffeeHouse, ""})},
	{"SYSTEM", "未知类型", "Unknown type", threeWays("unknown", // known to neighbouring interfaces alone
		Person{"2088102150477690", "SYSTEM", noodleBar, ""},
		Person{"2088102150477690", "SYSTEM", coffeeHouse, ""})},
}

// threeWays is somebody at the first merchant, at the second, and without one.
func threeWays(name string, first, second Person) []entrant {
	alone := first
	alone.PartnerID, alone.ShopIDs = "", ""
	return []entrant{
		{name, "张记面馆", "Zhang's Noodle Bar", first},
		{name + "-b", "海风咖啡", "Sea Breeze Coffee", second},
		{name + "-none", "不带商户", "No merchant", alone},
	}
}

// PersonNamed is somebody of the portal's cast: provider, provider-staff, mer, mer-staff, sales or unknown, who act for a
// first merchant; the same with -b for a second one, and with -none for none.
func PersonNamed(name string) (Person, bool) {
	for _, r := range roles {
		if i := slices.IndexFunc(r.entrants, func(e entrant) bool { return e.name == name }); i >= 0 {
			return r.entrants[i].person, true
		}
	}
	return Person{}, false
}
