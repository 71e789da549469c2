package web

import (
	"errors"
	"fmt"
	"html/template"
	"text/template/parse"
)

// checkTexts reports every {{t "key" …}} in a page's templates whose text is missing or takes another number of arguments.
// The key must be a literal. Otherwise it could not be checked before a visitor sees the page.
func checkTexts(page *template.Template, words texts) error {
	var problems []error
	for _, part := range page.Templates() {
		if part.Tree == nil {
			continue
		}
		walk(part.Tree.Root, func(call *parse.CommandNode) {
			if name, ok := call.Args[0].(*parse.IdentifierNode); !ok || name.Ident != "t" {
				return
			}
			if err := checkCall(call, words); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", part.Name(), err))
			}
		})
	}
	return errors.Join(problems...)
}

func checkCall(call *parse.CommandNode, words texts) error {
	if len(call.Args) < 2 {
		return fmt.Errorf("{{%s}} names no text", call)
	}
	key, ok := call.Args[1].(*parse.StringNode)
	if !ok {
		return fmt.Errorf("{{%s}}: the key is not a literal", call)
	}
	text, ok := words[key.Text]
	if !ok {
		return fmt.Errorf("no text %q", key.Text)
	}
	if got, want := len(call.Args)-2, len(verbs(text)); got != want {
		return fmt.Errorf("{{%s}} has %d arguments for the %d of %q", call, got, want, text)
	}
	return nil
}

// walk calls visit for every command below node.
func walk(node parse.Node, visit func(*parse.CommandNode)) {
	branch := func(b *parse.BranchNode) {
		walk(b.Pipe, visit)
		walk(b.List, visit)
		walk(b.ElseList, visit)
	}
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, child := range n.Nodes {
			walk(child, visit)
		}
	case *parse.ActionNode:
		walk(n.Pipe, visit)
	case *parse.TemplateNode:
		walk(n.Pipe, visit)
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.PipeNode:
		if n == nil {
			return
		}
		for _, cmd := range n.Cmds {
			walk(cmd, visit)
		}
	case *parse.CommandNode:
		visit(n)
		for _, arg := range n.Args {
			walk(arg, visit)
		}
	}
}
