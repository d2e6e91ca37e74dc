package clickhouse

// Class says who can make a statement succeed that has failed.
type Class string

const (
	// Unavailable: time. The server, its disk or the way to it is away or
	// busy; the same statement succeeds later.
	Unavailable Class = "unavailable"
	// Misconfigured: a person. Rights, schema, settings, a full quota; or an
	// error that nobody has classified. The same statement succeeds once it is
	// put right, so nothing is given up meanwhile.
	Misconfigured Class = "misconfigured"
	// BadRow: nobody. A value of one row of the insert is refused and always
	// will be; the other rows are good.
	BadRow Class = "bad_row"
)

type code struct {
	name  string
	class Class
}

// codes are the exception codes that an insert, a migration or a query of ours
// can meet, with their names in ClickHouse's src/Common/ErrorCodes.cpp; a test
// holds the names to a running engine. A code is never reused there. What is
// not listed is [Misconfigured]: to wait for a person loses nothing, while to
// take a fault of the server for one of a row would.
func codes() map[int32]code {
	return map[int32]code{
		// The connection broke or the server is going away or coming up.
		3:    {"UNEXPECTED_END_OF_FILE", Unavailable},
		32:   {"ATTEMPT_TO_READ_AFTER_EOF", Unavailable},
		33:   {"CANNOT_READ_ALL_DATA", Unavailable}, // a body cut short on its way in
		74:   {"CANNOT_READ_FROM_FILE_DESCRIPTOR", Unavailable},
		95:   {"CANNOT_READ_FROM_SOCKET", Unavailable},
		209:  {"SOCKET_TIMEOUT", Unavailable},
		210:  {"NETWORK_ERROR", Unavailable},
		236:  {"ABORTED", Unavailable}, // shutting down
		394:  {"QUERY_WAS_CANCELLED", Unavailable},
		677:  {"THREAD_WAS_CANCELED", Unavailable},
		722:  {"ASYNC_LOAD_WAIT_FAILED", Unavailable}, // the table is still being loaded
		733:  {"TABLE_IS_BEING_RESTARTED", Unavailable},
		734:  {"CANNOT_WRITE_AFTER_BUFFER_CANCELED", Unavailable},
		735:  {"QUERY_WAS_CANCELLED_BY_CLIENT", Unavailable},
		1000: {"POCO_EXCEPTION", Unavailable}, // the server's network library
		1001: {"STD_EXCEPTION", Unavailable},

		// It is busy.
		159: {"TIMEOUT_EXCEEDED", Unavailable},
		160: {"TOO_SLOW", Unavailable},
		173: {"CANNOT_ALLOCATE_MEMORY", Unavailable},
		201: {"QUOTA_EXCEEDED", Unavailable}, // quotas are per interval
		202: {"TOO_MANY_SIMULTANEOUS_QUERIES", Unavailable},
		203: {"NO_FREE_CONNECTION", Unavailable},
		241: {"MEMORY_LIMIT_EXCEEDED", Unavailable},
		252: {"TOO_MANY_PARTS", Unavailable}, // merges are behind; see the table's PARTITION BY for the other reading
		364: {"RECEIVED_ERROR_TOO_MANY_REQUESTS", Unavailable},
		439: {"CANNOT_SCHEDULE_TASK", Unavailable},
		473: {"DEADLOCK_AVOIDED", Unavailable},
		692: {"TOO_MANY_MUTATIONS", Unavailable},
		700: {"USER_SESSION_LIMIT_EXCEEDED", Unavailable},
		745: {"SERVER_OVERLOADED", Unavailable},

		// Replicas and their keeper. "Unknown status" means that the insert may
		// have been done: it is repeated, and folds.
		225: {"NO_ZOOKEEPER", Unavailable},
		242: {"TABLE_IS_READ_ONLY", Unavailable}, // a replica without its keeper
		244: {"UNEXPECTED_ZOOKEEPER_ERROR", Unavailable},
		254: {"NO_ACTIVE_REPLICAS", Unavailable},
		265: {"NO_AVAILABLE_REPLICA", Unavailable},
		279: {"ALL_CONNECTION_TRIES_FAILED", Unavailable},
		285: {"TOO_FEW_LIVE_REPLICAS", Unavailable},
		286: {"UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE", Unavailable},
		289: {"REPLICA_IS_NOT_IN_QUORUM", Unavailable},
		297: {"SHARD_HAS_NO_CONNECTIONS", Unavailable},
		319: {"UNKNOWN_STATUS_OF_INSERT", Unavailable},
		369: {"ALL_REPLICAS_ARE_STALE", Unavailable},
		415: {"ALL_REPLICAS_LOST", Unavailable},
		416: {"REPLICA_STATUS_CHANGED", Unavailable},
		659: {"UNKNOWN_STATUS_OF_TRANSACTION", Unavailable},
		999: {"KEEPER_EXCEPTION", Unavailable},

		// Disks. A full one needs a person, and room made elsewhere ends it too;
		// either way it ends without a change of ours.
		243: {"NOT_ENOUGH_SPACE", Unavailable},
		499: {"S3_ERROR", Unavailable},

		// A person: names, rights, settings, schema.
		16:  {"NO_SUCH_COLUMN_IN_TABLE", Misconfigured},
		20:  {"NUMBER_OF_COLUMNS_DOESNT_MATCH", Misconfigured},
		44:  {"ILLEGAL_COLUMN", Misconfigured},
		47:  {"UNKNOWN_IDENTIFIER", Misconfigured},
		53:  {"TYPE_MISMATCH", Misconfigured}, // of a column, not of a value: all our rows have one shape
		60:  {"UNKNOWN_TABLE", Misconfigured},
		62:  {"SYNTAX_ERROR", Misconfigured},
		81:  {"UNKNOWN_DATABASE", Misconfigured},
		115: {"UNKNOWN_SETTING", Misconfigured},
		164: {"READONLY", Misconfigured}, // a user who may only read
		192: {"UNKNOWN_USER", Misconfigured},
		193: {"WRONG_PASSWORD", Misconfigured},
		194: {"REQUIRED_PASSWORD", Misconfigured},
		291: {"DATABASE_ACCESS_DENIED", Misconfigured},
		452: {"SETTING_CONSTRAINT_VIOLATION", Misconfigured},
		497: {"ACCESS_DENIED", Misconfigured},
		516: {"AUTHENTICATION_FAILED", Misconfigured},

		// A value. Columns are typed and times are brought into range before
		// they are sent, so that only a constraint or another type which
		// somebody gave the table can refuse one.
		6:   {"CANNOT_PARSE_TEXT", BadRow},
		26:  {"CANNOT_PARSE_QUOTED_STRING", BadRow},
		27:  {"CANNOT_PARSE_INPUT_ASSERTION_FAILED", BadRow},
		38:  {"CANNOT_PARSE_DATE", BadRow},
		41:  {"CANNOT_PARSE_DATETIME", BadRow},
		69:  {"ARGUMENT_OUT_OF_BOUND", BadRow},
		70:  {"CANNOT_CONVERT_TYPE", BadRow},
		72:  {"CANNOT_PARSE_NUMBER", BadRow},
		131: {"TOO_LARGE_STRING_SIZE", BadRow},
		321: {"VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE", BadRow},
		349: {"CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN", BadRow},
		376: {"CANNOT_PARSE_UUID", BadRow},
		407: {"DECIMAL_OVERFLOW", BadRow},
		469: {"VIOLATED_CONSTRAINT", BadRow},
		691: {"UNKNOWN_ELEMENT_OF_ENUM", BadRow},
	}
}
