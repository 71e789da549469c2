package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// usageProblem describes why kong refused the arguments with err. It names a wrong argument by its number and never quotes
// it, because it may be a secret.
func usageProblem(root *kong.Node, args []string, err error) string {
	node := root
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") {
			child := childOf(node, arg)
			if child == nil {
				return unknownArgument(i+1, arg)
			}
			node = child
			continue
		}
		name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		flag := flagOf(node, name)
		switch {
		case flag == nil || !strings.HasPrefix(arg, "--"):
			return unknownFlag(node, i+1, name)
		case flag.IsBool() && hasValue:
			return fmt.Sprintf("--%s takes no value", flag.Name)
		case flag.IsBool() || hasValue:
		case i+1 == len(args) || strings.HasPrefix(args[i+1], "-"):
			return fmt.Sprintf("--%s needs a value: write --%s=VALUE", flag.Name, flag.Name)
		default:
			i++ // its value
		}
	}
	return err.Error() // all arguments are known, and the text names only what is missing
}

func unknownArgument(number int, arg string) string {
	text := fmt.Sprintf("argument %d is not a command", number)
	if name, _, ok := strings.Cut(arg, "="); ok && isSetting(name) {
		text += fmt.Sprintf("; set %s as an environment variable, before the command", name)
	}
	return text
}

func unknownFlag(node *kong.Node, number int, name string) string {
	text := fmt.Sprintf("argument %d is not a flag of this command", number)
	variable := variableOf(name)
	if isSecret(variable) {
		return text + fmt.Sprintf("; %s is secret and has no flag, so set the variable %s or %s_FILE", variable, variable, variable)
	}
	for _, flag := range flagsOf(node) {
		if slip(name, flag.Name) {
			return text + fmt.Sprintf("; did you mean --%s?", flag.Name)
		}
	}
	return text
}

func childOf(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

func flagOf(node *kong.Node, name string) *kong.Flag {
	for _, flag := range flagsOf(node) {
		if flag.Name == name {
			return flag
		}
	}
	return nil
}

// flagsOf returns the flags that may follow a command: its own, its parents' and its default command's.
func flagsOf(node *kong.Node) []*kong.Flag {
	var flags []*kong.Flag
	for _, group := range node.AllFlags(false) {
		flags = append(flags, group...)
	}
	if node.DefaultCmd != nil {
		flags = append(flags, node.DefaultCmd.Flags...)
	}
	return flags
}
