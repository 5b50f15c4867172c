// Package server is the broker: it accepts connections of clients and of other servers, keeps their
// subscriptions and delivers published messages.
//
// # The path of a message
//
// A message goes through these steps, in this order:
//
//	socket → netio.ReadBuffer → frameLimits.next → operator.do → match → batch → expansion → netio.WriteQueue → socket
//
// A connection ([conn]) has one goroutine, its reader (conn.serve), or none while a client is idle
// ([parking]). What one read returned is a [batch]; where little of it goes to each of several
// connections, the next read is a longer one (conn.adaptReads). Readers that always have something to
// read take turns, as many at a time as there are cores (netio.Link.Yield). The parser (parser.go) returns one
// operation after the other, with a count where equal ones follow each other, and the role of the
// connection acts on each (client.go, route.go). A publication is matched (package sublist), and
// the batch records its place in the read buffer for the subscriptions that receive it
// (deliver_choose.go): nothing is copied, no lock is taken and no shared counter is changed. A
// control line that the batch has had before is neither parsed nor matched again
// (deliver_recurring.go).
//
// At the end of the batch, or after some milliseconds, it is flushed target by target
// (deliver_flush.go), on the cores that are idle (deliver_spread.go): all messages of a target are
// written out in the memory of an [expansion] (deliver_expand.go), in the order in which they were
// read (deliver_merge.go), and pushed (netio.WriteQueue). If no goroutine is writing to a target, the
// push makes one attempt to, without waiting, unless many goroutines wait for a core and others push to the
// target, too (netio.Shared.Overloaded). Only what the socket does not take goes into a backlog,
// which has a goroutine as long as it exists: it is copied, or the backlog keeps the memory if that
// fills two thirds of it. The reader's own connection is the last target, so a PONG means: everything
// before the PING is in the queues of its subscribers. A PONG that follows an UNSUB is sent after the
// batches of other readers that may hold messages for the client (package grace): no message of the
// subscription follows it.
//
// # Who owns what
//
//   - The reader alone reads, acts on operations and tears down (conn.teardown). Other goroutines
//     may push to the connection's write queue, or ask the reader to end with conn.close(reason).
//     Every reason is a row of the table in conn_close.go: the -ERR, the line in the log, the text
//     in /connz.
//   - A netio.Chunk belongs to the goroutine that allocated it; its bytes never change while there
//     is another reference, and the last reference frees it.
//   - Options, INFO, limits, policies and permissions are snapshots behind atomic pointers. They
//     never change; a reload replaces them.
//
// # Where the settings come from
//
// A setting is a row (options_rows.go and its neighbours); package conf defines what a row is. The
// keys of the file, the flags, the usage text, the tables in conf/README.md, --print-config and the
// comparison at a reload all come from the rows. options_load.go applies the file, then the flags;
// the rest are defaults. commandline.go is what the program does with its arguments. Signals, pid
// and ports files, -sl and the service manager are in internal/process, which process.go uses.
//
// # When the settings change
//
// A reload (reload.go) has two phases. It reads the file again under the flags, compares the rows,
// and prepares everything that can fail; any error ends it there. Then it swaps the options and
// takes the steps of reload_steps.go that the changed rows require. What is compiled from options
// is a snapshot of its own: the policies of clients and routes (client_policy.go, route_policy.go),
// limits, INFO. A connection that uses one before it is registered checks afterwards that it is
// still in force, so that a reload misses no connection. Certificate files are watched
// (reload_watch.go), the configuration file with --watch-config; new certificates are used by new
// handshakes, through a [tlsfiles.Holder], without a reload.
//
// # When a subscriber lags
//
// Its backlog may grow to max_pending bytes, and a write may make no progress for write_deadline. A
// connection that exceeds one of them is a slow consumer: it is disconnected, and one line in the
// log has the connection, the limit, the bytes pending, for how long, and the subject of most of
// them. All backlogs together may hold max_pending_total bytes; above that the connection with the
// longest backlog is disconnected. A publisher is stalled before its batch is handed over
// (deliver_stall.go), for at most 100 ms at a time, only while every connection that receives from it
// lags: one slow consumer does not slow the others, and fast publishers do not disconnect their only
// subscriber on the same server. They go on in turn, when there is room for what they have. Where all of
// them are near full the publisher is stalled for longer, for 10 s (or write_deadline, if that is more). It
// is not stalled for clients that take too little: less in 2 s (or write_deadline, if that is less) than what
// may be pending before they lag, which is 1 MB or a quarter of max_pending.
//
// Where the heap comes near to GOMEMLIMIT the longest backlogs are ended, too, and connections that hold
// much of an operation which they do not finish. What was freed is given back to the system (memory.go).
//
// Messages for a member of a queue group that are still in its backlog when it ends go to other
// members (deliver_leftover.go).
//
// # Monitoring
//
// Package monitor is the HTTP side of monitoring: the port, the login, JSON, the dashboard. The
// contents of its pages are in this package: monitor_pages.go is the table of them, and each has
// its file (monitor_varz.go: a field of Varz is a field of /varz). A page is a snapshot: a few
// fields of each connection are copied under its locks, one connection after the other. Large pages
// are made one at a time and yield to messages; their lists are references to subscriptions, looked at one
// after the other when the page is encoded, in pieces (monitor.Body) that have a bound. The metrics are a table, too (monitor_metrics.go):
// a metric is a row. The time that messages spend in the broker is measured on a sample of batches
// (deliver_latency.go): the time of the read follows one target to its socket, or to its place in
// the backlog.
//
// # How servers find each other
//
// Package mesh is the state of one server's cluster: which servers are dialed and when, which of
// two connections to one server is the route, which servers are advertised to which (and to clients, in
// cluster_advertise.go: in INFO, a few times at once, then once a second at most). Until that is
// decided nothing on the second one is acted on (route_standby.go). The cluster (cluster.go,
// cluster_dial.go) is the shell that reports events to it and performs its actions; it refuses
// servers of another cluster (cluster_name.go). cluster_simulation_test.go runs whole clusters in
// memory. A [route] begins with TLS, CONNECT and INFO (route_connect.go). The subscriptions that
// the peer must be sent are queued (route_interest.go), for each client its own (route_flow.go), and sent in small
// pieces (route_interest_send.go), no more at a time than the peer keeps up with (route_window.go); a
// new route is sent all that there is (route_sync.go). When a client ends, its reader leaves out what the
// peer was not sent (route_withdraw.go): under a lock its queues are only set aside. What a client publishes goes through its
// queue while there is one: a request must not arrive before the interest in its inbox. A route is
// closed when it has been idle for too long (route_idle.go). Messages received over it are
// delivered by deliver_routed.go, and queue messages that the chosen member does not take are given
// to another one, on any server (deliver_redeliver.go). Servers of 1.x are sent only what they
// know; between servers of this version INFO has two more fields (cluster_info.go): that a third
// server was lost, and that a connection is closed as a duplicate.
//
// Two servers of this version may have several connections, a pool (route_pool.go): one carries the
// interest in each direction, messages of a publisher stay on one of them (route_path.go), and lines LINK
// (route_link.go) restore the order where messages and interest on different ones meet. What a
// lost one had pending is sent on others (route_leftover.go). Each connection may be compressed
// (route_compression.go): netio.Delivery.Then and the reader change to a stream of s2 behind
// one of these lines.
//
// # Login
//
// A connection begins with INFO (client_connect.go, route_connect.go) and TLS (conn_tls.go,
// client_tls.go, route_tls.go). Then clients and accepted routes log in (conn_login.go): the
// connection waits for CONNECT, package access checks the credentials by the policy in force, and
// the connection is bound to an identity, which a reload revalidates. access.go converts options
// for that package, client_permissions.go applies its decisions to PUB and SUB. Expensive work,
// the answer to a whole message of a handshake or a bcrypt check, needs a slot of the server's
// [admission.Limiter], which leaves a processor to the messages; what gets no slot waits, and is
// admitted by address in turn.
// How many clients of one address are in a handshake is bounded by an [admission.Gate]. Where there
// is no room for a client, one is closed that has not logged in ([admission.Evictor]);
// descriptors.go divides the descriptors, so that the other ports keep theirs. Each step has an
// [admission.Timer], a time limit that stands still only while the peer waits for this server.
// Until its login a connection is unauthenticated: beforeLogin accepts nothing but CONNECT.
//
// # Limits of users and addresses
//
// The identity that a client is bound to may have limits (access.Limits). They are of all
// connections of the user: client_limits.go counts these and their subscriptions, client_rate.go
// pauses readers whose next operation is a publication that comes too soon, and netio.WriteQueue
// drops whole messages for a user whose slow consumers are not to be disconnected. Only
// conn.limited says that there are limits: it is looked at for each read, and once for each
// target of a flush. What one address may take, whatever users its clients are, is in
// client_addresses.go and [admission.Addresses].
//
// The connections that others wait behind, and the requests that a client with allow_responses may
// answer ([access.Replies], of which the connection that asks for most loses its oldest), are in
// lists from which any is removed without a search (package linked).
//
// # The system account
//
// Users of the system account (system_account.go) have a routing table of their own: which one a
// connection uses is decided at its login, so messages are not looked at for it. Subjects that begin
// with $SYS. are theirs: package access refuses them to others. On routes their subscriptions have
// ids of their own, which only peers with such an account are sent. Package system answers requests
// and publishes events, as a client over a connection in memory (system_service.go) that no user can
// close or stall: what it publishes is dropped where a route is near full. Requests take turns by the client
// that asks, actions and short ones first, and long answers wait for a route that has not sent those before
// (package system). Requests that depend on who asks are taken from the client by its reader
// (system_actions.go). The service has every right, so it acts only on what such a reader has passed
// on, and answers on no reply subject of the system account but those of servers.
//
// # The other files
//
// What the sections above do not name, by the beginning of the name:
//
//	server.go, lameduck.go          the life of a server: New, Start, Shutdown, lame duck mode
//	listen.go, ports.go             the ports, and which they have become
//	info.go                         INFO, the version
//	deprecated.go                   names that programs for gnatsd 1.x and nats-server 2.x use
//	command.go                      the names of the signals, and -sl
//	command_unix.go                 -sl on Unix
//	command_windows.go              -sl on Windows
//	commandline_diff.go             --diff, --health
//	commandline_documents.go        what the program prints of itself: manual, completions, schemas
//	conn.go                         a connection and its reader
//	conn_work.go                    what the reader does with what it has read
//	conn_wait.go                    waits of the reader, steps with a time limit
//	conn_send.go                    what is sent beside messages; slow consumers
//	conn_write_limits.go            how much may be pending, and for how long
//	conn_teardown.go                the end of a connection
//	conn_ping.go                    PINGs, and the round-trip time
//	timer.go                        timers of connections
//	client_admission.go             whether there is room for a client, and its beginning
//	client_inprocess.go             clients in the same process, without a socket
//	client_registry.go              the connected clients, by id
//	conn_park.go                    idle clients, which have no reader
//	client_limits.go                what the connections of a user with limits have in common
//	client_rate.go                  how fast a user publishes
//	subscription.go                 a subscription, and the table of those of a connection
//	deliver_batch.go                the batch
//	deliver_defer.go                replies that wait for a grace period
//	deliver_subjects.go             the subjects that clients publish most on (package spacesaving)
//	cluster_advertise.go            the addresses in INFO
//	cluster_closed_queues.go        queue subscriptions closed recently
//	route_interest_lines.go         lines of interest, and ids of subscriptions on routes
//	route_state.go, route_reload.go routes for programs; new policies of routes
//	options.go, options_copy.go     Options; copies, and merging
//	options_accounts.go             accounts in a file
//	options_auth.go                 rows and values of authorization
//	options_limits.go               limits of users
//	options_credentials.go          credentials that would not restrict access
//	options_cluster.go              rows of cluster
//	options_compression.go          compression of routes
//	options_listen.go               addresses that are lists
//	options_listen_replaced.go      hosts and ports that another key replaces
//	options_monitor.go              rows of monitoring
//	options_tls.go                  rows of tls
//	options_files.go                which files the settings were read from
//	options_reload.go               the settings of a reload
//	options_unsupported.go          keys of nats-server 2.x that are refused or have no effect
//	reload_check.go, reload_log.go  what needs a restart; the log lines of a reload
//	log.go, log_destination.go      log lines; where they go
//	log_limit.go                    how many lines one connection may cause
//	monitor.go                      the monitoring port and the handlers of its pages
//	monitor_counters.go             what is counted over all connections
//	monitor_rates.go                the rates of clients
//	monitor_history.go              the last hour, for charts
//	monitor_closed.go               records of closed connections
//	monitor_connz.go                /connz, with monitor_connz_row.go and monitor_connz_sort.go
//	monitor_routez.go               /routez
//	monitor_subs.go                 subscriptions as pages list them
//	monitor_subsz.go                /subsz, with monitor_subsz_window.go
//	monitor_subjectz.go             /subjectz
//	monitor_clusterz.go             /clusterz: what the other servers say of themselves
//	monitor_status.go               /statusz: what an operator should look at
//	monitor_health.go               /healthz
//	watchdog.go                     keepalives for the service manager
//	monitor_metrics_process.go      metrics of the process
//
// # The order of locks
//
// These are all mutexes of the broker. Under none of them is there I/O, a log line, or a call of a
// function that was passed in; a test checks that, and that every mutex is listed.
//
//	mutex                        guards                                      may take
//	Server.mu                    listeners, life                             none
//	registry.mu                  the connected clients                       none
//	userTable.mu                 users with limits, their connections        none
//	systemAccount.mu             the users that are connected                none
//	system.requestQueue.mu       requests that wait                          none
//	slots.mu                     free slots of connections                   none
//	parking.mu                   idle clients without a reader               none
//	cluster.mu                   the mesh, the routes                        none
//	advertiser.mu                addresses in INFO                           none
//	conn.mu                      subscriptions, identity, ping               sublist, interestQueue.mu, closedQueues.mu, userTable.mu
//	interestQueue.mu             interest on its way to a route              none
//	closedQueues.mu              queue subscriptions closed recently         none
//	history.mu                   samples of the last hour                    none
//	closedConns.mu               records of closed connections               none
//	markCount.mu                 who waits for a mark of a pool              none
//	leftovers.mu                 whether what a connection left is given up  none
//	deferredReplies.mu           replies that wait for a grace period        none
//	access.Replies.mu            replies that a client may publish to        none
//	access.Verifier.mu           bcrypt checks in flight                     none
//	admission.Addresses.mu       connections and logins, by address          none
//	admission.Evictor.mu         which of many connections is closed first   none
//	admission.Gate.mu            handshakes of clients, by address           none
//	admission.Limiter.mu         slots and queue of expensive work           none
//	admission.Timer.mu           a time limit that can be paused             none
//	grace.Periods.mu             flushes that take long                      none
//	monitor.endpoint.mu          one port of monitoring                      none
//	monitor.answers.mu           large pages that are being written          none
//	netio.WriteQueue.mu          pending bytes                               none
//	netio.pipeHalf.mu            one direction of a connection in memory     none
//	netio.turns.mu               turns of readers that do not wait           none
//	process.UsageSampler.mu      the last sample of CPU and memory           none
//	sublist.trie.mu              changes of patterns with wildcards          sublist.subscribers.mu
//	sublist.shard.mu             patterns without, by hash                   sublist.subscribers.mu
//	sublist.subscribers.mu       those of one pattern                        none
//	sublist.largeResults.mu      large results in the caches                 none
//	spacesaving.Sketch.mu        subjects that a client publishes on         none
//	logger.queue.mu              lines on their way to the log               none
//
// Two connections are never locked at the same time, nor the registry and a connection: copy the
// registry, unlock it, then lock the connections. Reloads, the opening of ports, log reopening and
// the end of the server are done one at a time ([oneAtATime]).
package server
