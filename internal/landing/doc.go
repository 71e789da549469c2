// Package landing decides the outcome of a code. It contains no HTTP.
//
// Koubei accepts a code once. So a ledger in Redis records the state of each code before and after the exchange. Without
// Redis, the service sends no code.
//
//	state      how a code gets there                  what the next landing of the code gets
//	---------  -------------------------------------  ----------------------------------------------------------
//	(none)                                            claims it, with a lease that covers exchange and save
//	open       claimed                                waits for the outcome; number and time of waiters are
//	                                                  limited. When the lease ends (the replica died), the code
//	                                                  has no state again
//	landed     the session was written                the session's own browser, or one that shows an arrival of
//	                                                  the claim: the same token again, while that session exists
//	                                                  and contains the partner. Any other browser: used
//	held       the user is asked, because another     the same browser: the question again, or a landing if no
//	           operator is signed in or remembered;   question is left. Any other browser: used
//	           or Redis failed after the exchange
//	           and has recovered
//	declined   the user answered no, or the operator  used
//	           was revoked in the meantime
//	refused    a final verdict, in a response with    the same verdict, without a call, for minutes
//	           a valid signature
//	(none)     any other failure: released by its     claims it
//	           owner
//
// Every change is a compare-and-swap of one key. Its value contains the writer's id. So a retry after a lost reply detects
// its own write. Only the owner of a claim releases it. The owner, or a request that has found the owner's session, settles it.
//
// Three things take precedence over the ledger:
//
//   - If a session of this browser holds the code, the landing is a replay, whatever the ledger says: Redis may have
//     restarted with empty data.
//   - The same applies to a session that another landing has stored under this browser's arrival: its replica may have been
//     killed after it wrote the session and before it wrote the ledger. In the same way, two concurrent landings of a
//     browser without a session cookie find each other's session.
//   - A pending grant is the result of an exchange after which Redis failed. It takes precedence over none, refused, and
//     the open claim that obtained it. Landed, held and declined take precedence over the grant. If the browser has left
//     without a pending grant, the process that made the exchange writes the ledger later.
//
// A browser is identified by its arrival cookies, of which the ledger stores only hashes, or by the session that it made.
// Two missing arrivals are never equal.
package landing
