// Package session keeps operators in Redis: who is signed in, for which partners, until when.
//
// A session belongs to one operator and one browser. It holds an entry for each partner that the operator has landed
// for. Type, shops, code and end belong to the entry, because rights earned for one merchant are worth nothing for
// another. Records are JSON that other languages can read; the codes in them are sealed.
//
// # scs
//
// alexedwards/scs makes the tokens, hashes them, encodes a new session and sets the attributes of cookies. It neither
// reads nor writes Redis. LoadAndSave commits inside WriteHeader: when Redis fails there, one response carries two
// answers. goredisstore accepts no Cluster client and turns a past deadline into a key that never expires. And scs commits
// without comparing, in a write of its own, by the real clock: two tabs that land at once would lose a partner.
//
// # Revocation
//
// A revocation ends an operator's sessions and every grant that was claimed before it, on all replicas, and nothing that
// was claimed after it. Neither side compares clocks of replicas. Redis orders the two with a logical clock
// ([Manager.Tick]): a landing ticks with its claim, when the operator is not known yet, and a revocation ticks first of
// all. The claim's time travels with the grant and stands in the entry.
//
// The clock is one key. So its order is the same on a Cluster, where the nodes' clocks may differ. It follows Redis's TIME
// and never steps back, so it continues in order after a failover that lost the last ticks, and after Redis came back
// empty. (A counter alone would start at zero, and every grant would be older than a revocation that survived. TIME alone
// steps back with the node's clock.)
//
// Each change of a session writes the operator's index, then the session, then reads the revocation. [Manager.Revoke]
// writes the revocation first and reads the index after. Whichever comes first, one of the two sees the other. Every entry
// is compared, not only the newest: a session that another tab joins may have been left by a landing whose reply was lost.
// Redis remembers a revocation for [RevocationWindow]; an older grant becomes no session.
package session
