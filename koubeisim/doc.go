// Package koubeisim stands in for Koubei and the Alipay gateway in tests, demos and ISVs' own CI: a portal whose links
// send a browser to the ISV with a code, and a gateway that says once who is behind a code.
//
// It is written from the protocol and shares no code with the client it is tried with: with shared code both would be
// wrong together and every test would pass. It is stricter than the real gateway, spells its answers differently wherever
// the protocol is silent, and misbehaves on request, in a known order: see Fault. Keys and codes are new at every start
// and live in memory.
//
// The way of a gateway call, and where it may end:
//
//	readRequest     form, charset            refused
//	accept          app, signature, time     refused; a wrong request never meets a fault
//	nextFault       one per call             may cut, wait or say something instead
//	judge           spends the code          success, or a business error
//	draft           one answer               a fault may shape it
//	send            signed, and out          or cut, late, halved
//
// It mints operators, so it must never be linked into a production program.
package koubeisim
