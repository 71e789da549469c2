// Package session keeps operators in Redis: who is signed in, for which partners, until when.
//
// A session belongs to one operator and one browser. It holds an entry for each partner that the operator has landed
// for; type, shops, code and end belong to the entry, because rights earned for one merchant are worth nothing for
// another. What is stored is JSON that other languages can read; the codes in it are sealed.
//
// The sessions are alexedwards/scs's, driven by hand: scs makes the token, hashes it for the store and runs the codec.
// Its LoadAndSave middleware is not used, because it commits inside WriteHeader: when Redis fails there, one response
// carries two answers. Nor is goredisstore, which takes no Cluster client and turns a past deadline into a key that
// never expires. And where a clock that can be turned, a compare-and-swap, or one pipeline with the operator's index
// matters, scs has no say: it measures ends by the real clock and commits blindly, in a write of its own, so two tabs
// that land at once would forget each other's partner. Nor is a token renewed by RenewToken, which deletes
// the old session before the new one is written. Here the new one is written first.
//
// Each change writes the operator's index, then the session, then reads whether the operator was revoked meanwhile, in
// that order, while [Manager.Revoke] leaves its mark first and looks into the index after. Whichever comes first, one
// of the two sees the other, so a revocation can't be outrun.
package session
