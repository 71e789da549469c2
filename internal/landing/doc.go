// Package landing decides what becomes of a code. There is no HTTP in it.
//
// A code is a person's way in and works once, so the ledger in Redis says of every code what became of it, before and
// after the gateway is asked. Redis comes first: no store, no spending.
//
//	state      how one gets there                     what a second arrival gets
//	---------  -------------------------------------  ----------------------------------------------------------
//	(none)                                            claims it: a lease longer than exchange and save together
//	open       claimed                                waits for the outcome, bounded in number and time; once the
//	                                                  lease has run out (the replica died) it is none again
//	landed     the session stands                     the session's own browser, or one that shows an arrival of
//	                                                  the claim: the same token again, while that session lives
//	                                                  and holds the partner. Anyone else: used
//	held       another operator is signed in here:    the same browser: asked again, or landed once the other
//	           the grant waits sealed for an answer;  session is gone. Anyone else: used
//	           or Redis was lost after the exchange
//	           and is back
//	declined   the person said no, or the operator    used
//	           was revoked meanwhile
//	refused    a definitive verdict, in an answer     the same verdict, without a call, for minutes
//	           whose signature was right
//	(none)     any other failure: released by its     claims it
//	           owner
//
// Every change is a compare-and-swap on the one key, of a value that carries its writer's name: an answer that was lost
// and is repeated recognises its own work, and only the owner of a claim settles or releases it.
//
// Two things stand above the ledger. A session that holds the code already is a replay, whatever the ledger says: Redis
// may have come back empty. And a pending grant, what a code was worth when Redis failed after the exchange, beats none,
// refused, and the open claim that earned it; landed, held and declined beat the grant. What the ledger could not be told
// because Redis was away, the process that knows it tells later: for the browser that left and has no pending grant.
//
// Two landings of one browser that begin at once, before there is a session, meet under an arrival: see
// [session.Manager.StartMeeting].
//
// A browser is recognised by its arrival cookies, of which only hashes are stored, or by the session it made. Absent
// never equals absent.
package landing
