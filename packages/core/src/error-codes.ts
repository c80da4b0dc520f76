/** What a program that was started from a script learns from the exit code. */
export type ExitCode = 1 | 2 | 3 | 4 | 5 | 130

export interface ErrorText {
  readonly exit: ExitCode
  /** The same request may succeed later, unchanged. */
  readonly retryable: boolean
  readonly what: string
  readonly normal: string
  readonly fix: string
}

function text(exit: ExitCode, retryable: boolean, what: string, normal: string, fix: string): ErrorText {
  return { exit, retryable, what, normal, fix }
}

/** The catalogue of error codes. Codes are stable: programs may compare them. */
export const ERROR_CODES = {
  internal: text(1, false, 'Nebula broke one of its own rules.', 'Never.', 'Report it with the output of --debug.'),
  released: text(
    1,
    false,
    'A batch, record or buffer was used after its release.',
    'While a connector or a transform is being written.',
    'Copy what is needed longer than the call that lent it.',
  ),
  lifecycle: text(
    1,
    false,
    'A connector was used before initialize or after close.',
    'While a program that uses a connector is being written.',
    'Call initialize once before, and close once at the end.',
  ),
  usage: text(2, false, 'The command line is not understood.', 'After a typing mistake.', 'See nebula --help.'),
  config_invalid: text(
    2,
    false,
    'A configuration value is missing or not allowed.',
    'While a pipeline file is being written.',
    'Correct the key that the message names.',
  ),
  config_unknown_key: text(
    2,
    false,
    'The configuration has a key that nothing reads.',
    'After a typing mistake, or with a file for a newer version.',
    'Use the name that the message suggests, or remove the key.',
  ),
  variable_missing: text(
    2,
    false,
    'A ${VARIABLE} of the configuration is not set.',
    'In a shell or a scheduler without the environment of the file.',
    'Set it, or give a default: ${VARIABLE:-default}.',
  ),
  connector_not_found: text(
    2,
    false,
    'The package of a connector is not installed.',
    'Before the first use of a connector.',
    'Install the package that the message names.',
  ),
  connector_invalid: text(
    2,
    false,
    'A package does not register the connector it should, or two differ under one name.',
    'While a connector is being written.',
    'Compare its entry with the README of @nebula/runtime.',
  ),
  stream_not_found: text(
    2,
    false,
    'A name or glob of the pipeline matches no stream of the source.',
    'After a typing mistake, or when a table was renamed.',
    'Use one of the names that nebula discover prints.',
  ),
  column_not_found: text(
    2,
    false,
    'The pipeline names a column that the stream does not have.',
    'After a typing mistake, or when a column was renamed.',
    'Use one of the columns that nebula discover prints.',
  ),
  target_collision: text(
    2,
    false,
    'Two streams would be written to one target.',
    'When names differ only in what the destination cannot keep.',
    'Give one of them a target of its own.',
  ),
  target_not_ours: text(
    2,
    false,
    'The target holds rows that Nebula did not write, and overwrite was not written out.',
    'On the first run into an existing table.',
    'Write mode: overwrite to replace the rows, or mode: append to add to them.',
  ),
  target_incompatible: text(
    2,
    false,
    'The target cannot hold a column of the stream as it is.',
    'When source and target were created separately.',
    'Cast the column, change the target, or leave the column out.',
  ),
  loss_refused: text(
    2,
    false,
    'A column would lose something on its way, and the pipeline does not allow it.',
    'When the destination has no type that holds all values.',
    'Accept it by name with allow_loss, or cast the column.',
  ),
  unsupported: text(
    2,
    false,
    'The connector does not do what the pipeline asks for.',
    'When a mode or an option is not implemented by this connector.',
    'Use what its README lists.',
  ),
  run_locked: text(
    2,
    true,
    'Another run of this pipeline is under way.',
    'When a schedule is shorter than the run.',
    'Wait for it to end, or stop it.',
  ),
  state_newer: text(
    2,
    false,
    'The state was written by a newer version of Nebula.',
    'After a downgrade.',
    'Use the newer version, or reset the state.',
  ),
  connection_failed: text(
    3,
    true,
    'The system does not answer at its address.',
    'While it restarts, or behind a firewall.',
    'Check host, port and network; then run the same command again.',
  ),
  connection_lost: text(
    3,
    true,
    'The connection broke during the work.',
    'When a server restarts or a network fails.',
    'Run the same command again: it goes on where it stopped.',
  ),
  authentication_failed: text(
    3,
    false,
    'The system refuses the user or the password.',
    'After a password was changed.',
    'Correct the credentials; they are not tried again by themselves.',
  ),
  tls_failed: text(
    3,
    false,
    'No trusted encrypted connection could be made.',
    'With a private certificate authority.',
    'Give security.tls.ca, or the mode that the server supports.',
  ),
  permission_denied: text(
    3,
    false,
    'The user may not do what the pipeline needs.',
    'With a user made for reading only.',
    'Grant the privilege that the message names.',
  ),
  database_not_found: text(
    3,
    false,
    'The server has no such database.',
    'Before it was created, or after a typing mistake.',
    'Create the database, or correct its name.',
  ),
  server_busy: text(
    3,
    true,
    'The system is starting, stopping, or out of connections or other resources.',
    'Under load and during maintenance.',
    'Run again later, or lower parallel.',
  ),
  conflict: text(
    3,
    true,
    'The system undid a transaction because of another one.',
    'Under concurrent writes.',
    'Run the same command again.',
  ),
  timeout: text(
    3,
    true,
    'The system did not answer in time.',
    'Under load, or when a lock is held.',
    'Raise the timeout that the message names, or find what holds the lock.',
  ),
  query_failed: text(
    3,
    false,
    'The system refused a statement.',
    'When an object changed during the run.',
    'Read what the system says; the message quotes it.',
  ),
  file_not_found: text(
    3,
    false,
    'A file or folder does not exist.',
    'After a typing mistake, or before an upload arrived.',
    'Correct the path.',
  ),
  file_failed: text(
    3,
    false,
    'A file could not be read or written.',
    'Without permission, or on a broken disk.',
    'Check the permissions of the path that the message names.',
  ),
  disk_full: text(
    3,
    false,
    'No space is left where the data is written.',
    'With large tables.',
    'Free space, then run the same command again: it goes on where it stopped.',
  ),
  source_changed: text(
    4,
    true,
    'The source changed while it was read.',
    'When a file is replaced or a table is altered during a run.',
    'Run the same command again: the stream begins again.',
  ),
  data_invalid: text(
    4,
    false,
    'The data is not what its format promises.',
    'With a damaged or truncated file, or wrong format options.',
    'Look at the place that the message names.',
  ),
  row_rejected: text(
    4,
    false,
    'A row could not be read or was refused, and max_errors does not allow it.',
    'With a value that does not fit its type, or a constraint of the target.',
    'Correct the row, cast the column, or raise max_errors to keep such rows as dead letters.',
  ),
  counts_differ: text(
    4,
    false,
    'Fewer or more rows were written than were read.',
    'Never: the run is not trusted.',
    'Report it; the target is as it was before.',
  ),
  already_committed: text(
    4,
    false,
    'The rows of this checkpoint are already in the target.',
    'After a commit whose answer was lost.',
    'Nothing: the rows are not written twice.',
  ),
  fenced: text(
    4,
    false,
    'A newer run of this pipeline has taken over.',
    'When a run that was thought dead wakes up.',
    'Nothing: the newer run goes on.',
  ),
  partial: text(
    5,
    false,
    'The run ended, but not with every row or every stream.',
    'With max_errors above 0, or on_stream_error: continue.',
    'Read the report; rows that were kept are in the dead letters.',
  ),
  aborted: text(130, false, 'The run was interrupted.', 'After Ctrl-C.', 'Run the same command again: it goes on.'),
} as const satisfies Record<string, ErrorText>

export type ErrorCode = keyof typeof ERROR_CODES
