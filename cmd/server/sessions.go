package main

import (
	"fmt"
	"time"

	"koubei-landing/internal/app"
)

type sessionsCmd struct {
	List   listCmd   `cmd:"" help:"List an operator's live sessions."`
	Revoke revokeCmd `cmd:"" help:"End all sessions of an operator, on every replica."`
}

type listCmd struct {
	settings
	Operator string `required:"" help:"The operator's id."`
}

// Run prints a line for every entry of every session.
func (c *listCmd) Run(inv *invocation) error {
	config, err := c.load(inv)
	if err != nil {
		return err
	}
	sessions, err := app.Sessions(inv.ctx, config, c.Operator)
	if err != nil {
		return err
	}
	for _, s := range sessions {
		for _, e := range s.Entries {
			fmt.Fprintf(inv.stdout, "%s  operator %s  %s  partner %s  since %s  until %s\n", s.Hash()[:12], s.OperatorID,
				e.OperatorType, orNone(e.PartnerID), e.AuthenticatedAt.Format(time.RFC3339), e.ExpiresAt.Format(time.RFC3339))
		}
	}
	_, err = fmt.Fprintf(inv.stdout, "sessions: %d\n", len(sessions))
	return err
}

func orNone(id string) string {
	if id == "" {
		return "(none)"
	}
	return id
}

type revokeCmd struct {
	settings
	Operator string `required:"" help:"The operator's id."`
}

// Run ends the sessions and prints how many there were.
func (c *revokeCmd) Run(inv *invocation) error {
	config, err := c.load(inv)
	if err != nil {
		return err
	}
	n, err := app.Revoke(inv.ctx, config, c.Operator)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(inv.stdout, "sessions revoked: %d\n", n)
	return err
}
