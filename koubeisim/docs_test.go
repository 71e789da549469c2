package koubeisim_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"koubei-landing/koubeisim"
)

// The documentation has a row for each fault, in the words that the control API uses.
func TestFaultsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/koubeisim.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range koubeisim.Faults() {
		if row := fmt.Sprintf("| `%s` | %s |", f, f.About()); !strings.Contains(string(doc), row) {
			t.Errorf("docs/koubeisim.md lacks: %s", row)
		}
	}
}
