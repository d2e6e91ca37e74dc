/*
 * The way of an event as a model: two tenants, three deliveries of each (the
 * third is the first, sent again), one partition, a mapping of each tenant, and
 * a crash wherever one can happen. Spin goes through every order.
 *
 * Each stage does its steps in the order that its comments in Go claim. A macro
 * reverses one of them, and Spin must then find a run that breaks a promise:
 * see model_test.go, which has the list.
 *
 * Time is a small number that passes when nothing forbids it. The one thing that
 * is assumed of it: a mapping is acknowledged before the instant from which it
 * holds, which lies LEAD ahead. connect counts the times at which that did not
 * hold (halo_promise_breaches_total); SLOW_ACK shows why.
 */

#define TENANTS    2
#ifndef DELIVERIES
#define DELIVERIES 6              /* 0, 2, 4 of tenant 0; 1, 3, 5 of tenant 1 */
#endif
#define EVENTS     (DELIVERIES - TENANTS)
#define TENANT(d)  ((d) % TENANTS)
#define IDENTITY(d) ((d) >= EVENTS -> (d) - EVENTS : (d))  /* the last of each tenant repeats its first */
#define OUTCOMES   (DELIVERIES + CRASHES)  /* each event once, and again after a crash */

#ifndef TMAX
#define TMAX 2
#endif
#ifdef NO_LEAD
#define LEAD 0
#else
#define LEAD 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

#define NONE     0
#define ACTIVITY 1
#define SKIP     2

#ifdef SLOW_ACK
#define MAY_PASS true
#else
#define MAY_PASS (pendingFrom[0] == 0 || now + 1 < pendingFrom[0]) && (pendingFrom[1] == 0 || now + 1 < pendingFrom[1])
#endif

byte now = 1;
byte crashes = CRASHES;

/* halo.events */
byte events[DELIVERIES]; byte eventsEnd = 0;
byte received[DELIVERIES];        /* 0: did not arrive */
bool kept[DELIVERIES];            /* answered 200 */
bool logged[DELIVERIES];

/* halo.mappings */
byte mappingOf[TENANTS]; byte mappingFrom[TENANTS]; byte mappingsEnd = 0;
bool requested[TENANTS], answered[TENANTS]; /* PUT …/user */
byte pendingFrom[TENANTS];        /* chosen, and not in the log yet; 0: none */

/* what was the case when a delivery arrived */
bool wasAnswered[DELIVERIES], wasRequested[DELIVERIES];

/* halo.activities and halo.skipped */
byte outcomeOf[OUTCOMES]; byte outcome[OUTCOMES]; byte outcomesEnd = 0;

/* ClickHouse, folded */
byte row[DELIVERIES]; byte rowReceived[DELIVERIES];

byte edges = TENANTS;
bool processed = false;

inline mapped(d, upTo, answer) {
    m = 0; answer = SKIP;
    do
    :: m < upTo ->
#ifdef LATEST_MAPPING
        if :: mappingOf[m] == TENANT(d) -> answer = ACTIVITY
#else
        if :: mappingOf[m] == TENANT(d) && mappingFrom[m] <= received[d] -> answer = ACTIVITY
#endif
           :: else fi;
        m++
    :: else -> break
    od;
    m = 0
}

proctype Clock() {
    do
    :: atomic { (now < TMAX && MAY_PASS) -> now++ }
    :: now == TMAX -> break
    od
}

proctype Edge(byte tenant) {
    byte d = tenant;
    do
    :: d < DELIVERIES ->
        atomic {                  /* the header arrived */
            received[d] = now;
            wasAnswered[d] = answered[tenant]; wasRequested[d] = requested[tenant]
        }
#ifdef ANSWER_BEFORE_ACK
        kept[d] = true;
        if
        :: atomic { crashes > 0 -> crashes-- }          /* killed: the record is lost */
        :: atomic { events[eventsEnd] = d; eventsEnd++; logged[d] = true }
        fi;
#else
        if
        :: atomic { crashes > 0 -> crashes-- }          /* killed before the record went out */
        :: atomic {               /* acknowledged; nobody reads whether it is answered */
                events[eventsEnd] = d; eventsEnd++; logged[d] = true;
                if
                :: kept[d] = true                    /* answered 200 */
                :: crashes > 0 -> crashes--          /* killed after the ack, before the 200 */
                fi
            }
        fi;
#endif
        d = d + TENANTS
    :: else -> break
    od;
    edges--
}

proctype Writer(byte tenant) {
    byte from;
    d_step { now + LEAD <= TMAX -> requested[tenant] = true; from = now + LEAD; pendingFrom[tenant] = from }
#ifdef ANSWER_BEFORE_WRITE
    answered[tenant] = true;
#endif
    d_step {                      /* acknowledged */
        mappingOf[mappingsEnd] = tenant; mappingFrom[mappingsEnd] = from;
        mappingsEnd++; pendingFrom[tenant] = 0
    }
#ifndef ANSWER_AT_ONCE
    now >= from;                  /* the answer waits until the mapping holds */
#endif
    answered[tenant] = true
}

proctype Processor() {
    byte pos = 0, committed = 0, end, d, o, m;
    do
    :: pos < eventsEnd ->
        d = events[pos];          /* 1. the poll */
#ifndef BARRIER_BEFORE_POLL
        end = mappingsEnd;        /* 2. the barrier reads the end after it, and waits until the table is there */
#endif
        d_step { mapped(d, end, o) }   /* 3. pure: what comes later does not count */
#ifdef COMMIT_BEFORE_PRODUCE
        committed = pos + 1;
        if
        :: atomic { crashes > 0 -> crashes--; pos = committed; goto next }
        :: skip
        fi;
#endif
        atomic {                  /* 4. acknowledged, and then, unless it is killed between the two, 5. the commit */
            outcomesEnd < OUTCOMES -> outcomeOf[outcomesEnd] = d; outcome[outcomesEnd] = o; outcomesEnd++;
            if
            :: crashes > 0 -> crashes--; pos = committed
            :: committed = pos + 1; pos = committed
            fi
        };
next:   d = 0; o = NONE; end = 0;
#ifdef BARRIER_BEFORE_POLL
        end = mappingsEnd         /* asked for the next event before that is there */
#endif
    :: atomic { pos == eventsEnd && edges == 0 -> break }
    od;
    processed = true
}

proctype Sink() {
    byte pos = 0, committed = 0, d, id;
    do
    :: pos < outcomesEnd ->
#ifdef SINK_COMMITS_FIRST
        committed = pos + 1;
        if
        :: atomic { crashes > 0 -> crashes--; pos = committed; goto next }
        :: skip
        fi;
#endif
        atomic {                  /* 1. appended: the first arrival wins; nobody reads the table meanwhile */
            d = outcomeOf[pos]; id = IDENTITY(d);
            if
#ifdef LAST_ARRIVAL_WINS
            :: row[id] == NONE || received[d] >= rowReceived[id] ->
#else
            :: row[id] == NONE || received[d] < rowReceived[id] ->
#endif
                row[id] = outcome[pos]; rowReceived[id] = received[d]
            :: else
            fi;
            d = 0; id = 0;
            if                    /* 2. the commit, unless it is killed before */
            :: crashes > 0 -> crashes--; pos = committed
            :: committed = pos + 1; pos = committed
            fi
        };
next:   skip
    :: pos == outcomesEnd && processed -> break
    od;

    /* What must hold, once all is still. */
    atomic {
        byte x = 0, first, want, m = 0;
        do
        :: x < DELIVERIES ->
            id = IDENTITY(x);
            assert(!kept[x] || row[id] != NONE);                    /* Kept */
            if
            :: x < EVENTS ->
                /* the first arrival that is in the log */
                first = x;
                if
                :: x < TENANTS && logged[x + EVENTS] && (!logged[x] || received[x + EVENTS] < received[x]) -> first = x + EVENTS
                :: else
                fi;
                if
                :: logged[first] && !(x < TENANTS && logged[x] && logged[x + EVENTS] && received[x] == received[x + EVENTS]) ->
                    assert(!wasAnswered[first] || row[id] == ACTIVITY);  /* As of arrival: mapped, answered, then it arrived */
                    assert(wasRequested[first] || row[id] == SKIP);      /* As of arrival: it arrived, then somebody asked */
                    mapped(first, mappingsEnd, want);
                    assert(row[id] == want)                          /* Repeatable: a replay comes to the same */
                :: else
                fi
            :: else
            fi;
            x++
        :: else -> break
        od
    }
}

init {
    atomic {
        run Clock(); run Edge(0); run Edge(1); run Writer(0); run Writer(1);
        run Processor(); run Sink()
    }
}
