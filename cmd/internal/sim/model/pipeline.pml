/*
 * The way of an event as a model: two tenants, three deliveries of each (the third
 * is the first, sent again), one partition, a mapping of each tenant, and a crash
 * wherever one can happen. Spin goes through every order.
 *
 * Each stage does its steps in the order that its comments in Go claim. A macro
 * reverses one of them, and Spin must then find a run that breaks a promise:
 * model_test.go has the list.
 *
 * Time is a small number that passes when nothing forbids it. One thing is assumed
 * of it: a mapping is acknowledged before the instant from which it holds, which
 * lies LEAD ahead. connect counts the times at which that did not hold
 * (halo_promise_breaches_total); SLOW_ACK shows why.
 *
 * Steps that nobody else can see between are one step here, so that there are
 * millions of states and not billions:
 *  - a poll and the barrier that follows it: what was polled stays what it is;
 *  - an outcome and its row: nobody reads a row before the end, so it is all the
 *    same when the sink comes to it;
 *  - a delivery is forgotten once it is judged for good: what the promises say of
 *    it is looked at by then, and its row remembers when it arrived.
 */

#define TENANTS     2
#ifndef EACH
#define EACH        3                     /* deliveries of each tenant */
#endif
#define DELIVERIES  (TENANTS * EACH)      /* even ones are of tenant 0 */
#define TENANT(d)   ((d) % TENANTS)
#define EVENT(d)    ((d) < DELIVERIES - TENANTS -> (d) : TENANT(d))  /* the last repeats the first */
#ifndef TMAX
#define TMAX        2
#endif
#ifndef CRASHES
#define CRASHES     1
#endif
#ifdef NO_LEAD
#define LEAD        0
#else
#define LEAD        1
#endif

#define NONE        0
#define ACTIVITY    1
#define SKIP        2

byte now = 1, crashes = CRASHES;

/* halo.events: what is not committed yet. A tenant's events are in order; of two
 * tenants either may be read first, whether they share a partition or not. */
chan events[TENANTS] = [EACH] of { byte };
byte received[DELIVERIES];
bool kept[DELIVERIES];                       /* answered 200 */
bool asked[DELIVERIES], promised[DELIVERIES]; /* when it arrived, the mapping was asked for; was answered */
byte edges = TENANTS;
bool begun;

/* halo.mappings: from when the tenant's agent is mapped; 0: not acknowledged */
byte from[TENANTS], chosen[TENANTS];
bool requested[TENANTS], answered[TENANTS];

/* ClickHouse */
byte row[DELIVERIES], arrived[DELIVERIES];
byte first[DELIVERIES];                      /* what must have won */

#define CRASH crashes > 0 -> crashes--

#ifdef SLOW_ACK
#define MAY_PASS true
#else
#define UNWRITTEN(t) (chosen[t] != 0 && from[t] == 0 && now + 1 >= chosen[t])
#define MAY_PASS     (!UNWRITTEN(0) && !UNWRITTEN(1))
#endif

proctype Clock() {
    do
    :: atomic { now < TMAX && MAY_PASS -> now++ }
    :: now == TMAX -> break
    od
}

proctype Edge(byte tenant) {
    byte d = tenant;
    do
    :: d < DELIVERIES ->
        d_step {                             /* the header arrived; which of two equal tenants is first is all the same */
            tenant == 0 || begun -> begun = true;
            received[d] = now; asked[d] = requested[tenant]; promised[d] = answered[tenant]
        }
#ifdef ANSWER_BEFORE_ACK
        kept[d] = true;
        if
        :: atomic { CRASH }                  /* killed: the record is lost */
        :: atomic { events[tenant]!d }
        fi;
#else
        if
        :: atomic { CRASH }                  /* killed before the record went out */
        :: atomic {                          /* acknowledged; who polls does not ask whether it is answered */
                events[tenant]!d;
                if
                :: kept[d] = true            /* answered 200 */
                :: CRASH                     /* killed before the answer, which Halo may send again */
                fi
            }
        fi;
#endif
        d = d + TENANTS
    :: else -> break
    od;
    d = 0; edges--
}

/* connect may be killed between any two of its steps, or never be asked. */
proctype Writer(byte tenant) {
    if
    :: d_step { now + LEAD <= TMAX -> requested[tenant] = true; chosen[tenant] = now + LEAD }
    :: goto end_killed
    fi;
#ifdef ANSWER_BEFORE_WRITE
    answered[tenant] = true;
#endif
    if
    :: from[tenant] = chosen[tenant]         /* acknowledged */
    :: atomic { chosen[tenant] = 0; goto end_killed }
    fi;
#ifndef ANSWER_AT_ONCE
    now >= from[tenant];                     /* the answer waits until the mapping holds */
#endif
    answered[tenant] = true;
end_killed: skip
}

/* The interval with from <= received_at, among the mappings that it was made sure of. */
#ifdef LATEST_MAPPING
#define HOLDS(from, at) ((from) != 0)
#else
#define HOLDS(from, at) ((from) != 0 && (from) <= (at))
#endif

/* What the sink does with an outcome: appended, and folded by the first arrival. */
inline append(d, outcome) {
    if
    :: first[EVENT(d)] == 0 || received[d] < first[EVENT(d)] -> first[EVENT(d)] = received[d]
    :: else
    fi;
    if
#ifdef LAST_ARRIVAL_WINS
    :: row[EVENT(d)] == NONE || received[d] >= arrived[EVENT(d)] ->
#else
    :: row[EVENT(d)] == NONE || received[d] < arrived[EVENT(d)] ->
#endif
        row[EVENT(d)] = outcome; arrived[EVENT(d)] = received[d]
    :: else
    fi
}

proctype Processor() {
    byte t, d, outcome, seen[TENANTS];
    do
    :: atomic {                              /* 1. the poll; the record stays until the commit */
            if
            :: events[0]?<d> -> t = 0
            :: events[1]?<d> -> t = 1
            fi;
#if !defined(BARRIER_BEFORE_POLL) && !defined(NO_BARRIER)
            seen[0] = from[0]; seen[1] = from[1]; /* 2. the barrier: all that is acknowledged by now is applied */
#endif
            outcome = (HOLDS(seen[TENANT(d)], received[d]) -> ACTIVITY : SKIP);  /* 3. judged */
            assert(asked[d] || outcome == SKIP);         /* As of arrival: nobody had asked for it */
            assert(!promised[d] || outcome == ACTIVITY); /* As of arrival: somebody had been told */
#ifdef COMMIT_BEFORE_PRODUCE
            events[t]?d;
            if :: CRASH; goto next :: true fi;
#endif
            /* 4. produced and acknowledged, and appended by the sink */
#ifdef SINK_COMMITS_FIRST
            if :: CRASH; events[t]?d; goto next :: true fi;
#endif
            append(d, outcome);
            if
            :: CRASH                         /* a sink that is killed before its commit: appended again */
                ; append(d, outcome)
            :: true
            fi;
#ifdef COMMIT_BEFORE_PRODUCE
#else
            if
            :: CRASH; goto next              /* killed before its commit: judged again */
            :: events[t]?d                      /* 5. the commit */
            fi;
#endif
            assert(!kept[d] || row[EVENT(d)] != NONE);   /* Kept */
            received[d] = 0; kept[d] = false; asked[d] = false; promised[d] = false;
next:       t = 0; d = 0; outcome = NONE; seen[0] = 0; seen[1] = 0
        }
#ifdef BARRIER_BEFORE_POLL
        ; atomic { seen[0] = from[0]; seen[1] = from[1] } /* the end, asked for before what comes next is polled */
#endif
    :: atomic { empty(events[0]) && empty(events[1]) && edges == 0 -> break }
    od
}

init {
    byte x;
    atomic { run Clock(); run Edge(0); run Edge(1); run Writer(0); run Writer(1); run Processor() }
    atomic {
        _nr_pr == 1 ->                       /* all is still */
        do
        :: x < DELIVERIES ->
            assert(!kept[x] || row[EVENT(x)] != NONE);   /* Kept */
            assert(row[x] == NONE || (row[x] == ACTIVITY) == HOLDS(from[TENANT(x)], first[x])); /* Repeatable: a replay comes to the same */
            x++
        :: else -> break
        od
    }
}
