// Package session keeps operators in Redis: who is signed in, for which partners, and until when.
//
// A session belongs to one operator and one browser. It holds an entry for each partner that the operator has landed for.
// Type, shops, code and expiry belong to the entry, because an operator may have different rights for another merchant.
// Records are JSON, which other languages can read. The codes in them are sealed.
//
// # scs
//
// alexedwards/scs creates tokens, encodes a new session and sets the attributes of cookies. It neither reads nor
// writes Redis, for these reasons:
//
//   - LoadAndSave commits inside WriteHeader. If Redis fails there, one response contains two answers.
//   - goredisstore accepts no Cluster client, and turns a deadline in the past into a key that never expires.
//   - scs commits without comparing, in a separate write, by the real clock. Two concurrent landings would lose a partner.
//
// # Revocation
//
// A revocation ends an operator's sessions, and every grant that was claimed before it, on all replicas. It does not affect
// grants that were claimed after it. The replicas' clocks are never compared. Redis orders the two with a logical clock
// ([Manager.Tick]): a landing advances it with its claim, when the operator is not known yet, and a revocation starts by
// advancing it. The grant carries the claim's time, and the entry stores it.
//
// The clock is one key, so its order also holds on a Cluster, where the nodes' clocks may differ. It follows Redis's TIME
// and never goes back. So it stays in order after a failover that lost the last ticks, and after Redis restarted with empty
// data. (A counter alone would start at zero, and every grant would be older than a revocation that survived. TIME alone
// goes back with the node's clock.)
//
// Each change of a session writes the operator's index, then the session, then reads the revocation. [Manager.Revoke]
// writes the revocation first and then reads the index. Whichever comes first, one of them sees the other's write. Every
// entry is compared, not only the newest: a session that another tab joins may have been left by a landing whose reply was
// lost. A landing that adds an entry to a session also reads the revocation before its write, because the session may be newer
// than the revocation, and the replica may die before it checks again. Redis keeps a revocation for [RevocationWindow]. An
// older grant cannot become a session.
package session
