// Package landing decides what becomes of a code. There is no HTTP in it.
//
// A code works once, so a ledger in Redis records what became of each code, before and after the exchange. Redis comes
// first: without it no code is sent.
//
//	state      how a code gets there                  what the next landing of the code gets
//	---------  -------------------------------------  ----------------------------------------------------------
//	(none)                                            claims it: a lease longer than exchange and save together
//	open       claimed                                waits for the outcome, bounded in number and time. When the
//	                                                  lease ends (the replica died), the code is in no state again
//	landed     the session is written                 the session's own browser, or one that shows an arrival of
//	                                                  the claim: the same token again, while that session lives
//	                                                  and holds the partner. Any other browser: used
//	held       a person is asked: another operator    the same browser: asked again, or landed once there is
//	           is signed in here, or is remembered;   nothing left to ask. Any other browser: used
//	           or Redis was lost after the exchange
//	           and is back
//	declined   the person said no, or the operator    used
//	           was revoked meanwhile
//	refused    a definitive verdict, in a response    the same verdict, without a call, for minutes
//	           with a valid signature
//	(none)     any other failure: released by its     claims it
//	           owner
//
// Every change is a compare-and-swap on the one key, of a value that carries its writer's id. So a repetition after a lost
// reply recognizes its own work, and only the owner of a claim settles or releases it.
//
// Three things precede the ledger:
//
//   - A session that holds the code is a replay, whatever the ledger says: Redis may have come back empty.
//   - So is a session that another landing has left under this browser's arrival: its replica may have been killed
//     between session and ledger. Two landings of one browser that begin together, before it has a session cookie, find
//     each other's session in the same way.
//   - A pending grant, what a code was worth when Redis failed after the exchange, precedes none, refused, and the open
//     claim that earned it. Landed, held and declined precede the grant. What the ledger could not be told, the process
//     that knows it writes later: for the browser that left and has no pending grant.
//
// A browser is recognized by its arrival cookies, of which only hashes are stored, or by the session that it made. Two
// absent arrivals are never equal.
package landing
