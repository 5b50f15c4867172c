// What a program in C uses of a broker. Run by test/clients: it says "restart"
// to have the broker restarted, and ends with status 0 if all held.
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { patience = 30000 }; // ms

#define must(call)                                                                              \
	do {                                                                                    \
		natsStatus must_status = (call);                                                \
		if (must_status != NATS_OK) {                                                   \
			fprintf(stderr, "%d: %s: %s\n", __LINE__, #call, natsStatus_GetText(must_status)); \
			exit(1);                                                                \
		}                                                                               \
	} while (0)

#define want(claim)                                                          \
	do {                                                                 \
		if (!(claim)) {                                              \
			fprintf(stderr, "%d: not so: %s\n", __LINE__, #claim); \
			exit(1);                                             \
		}                                                            \
	} while (0)

static int says(natsMsg *m, const char *text) {
	return natsMsg_GetDataLength(m) == (int)strlen(text) && memcmp(natsMsg_GetData(m), text, strlen(text)) == 0;
}

static void publishes_and_subscribes(natsConnection *nc) {
	natsSubscription *sub = NULL;
	natsMsg *m = NULL;
	must(natsConnection_SubscribeSync(&sub, nc, "c.*.x"));
	must(natsConnection_PublishString(nc, "c.b.y", "not this"));
	must(natsConnection_PublishRequestString(nc, "c.a.x", "there", "one"));
	must(natsSubscription_NextMsg(&m, sub, patience));
	want(says(m, "one") && strcmp(natsMsg_GetSubject(m), "c.a.x") == 0 && strcmp(natsMsg_GetReply(m), "there") == 0);
	natsMsg_Destroy(m);
	natsSubscription_Destroy(sub);
}

static void takes_headers(natsConnection *nc) {
	natsSubscription *sub = NULL;
	natsMsg *m = NULL;
	const char **values = NULL;
	int n = 0;
	must(natsConnection_SubscribeSync(&sub, nc, "c.headers"));
	must(natsMsg_Create(&m, "c.headers", NULL, "body", 4));
	must(natsMsgHeader_Add(m, "Colour", "red"));
	must(natsMsgHeader_Add(m, "Colour", "blue"));
	must(natsConnection_PublishMsg(nc, m));
	natsMsg_Destroy(m);
	must(natsSubscription_NextMsg(&m, sub, patience));
	want(says(m, "body"));
	must(natsMsgHeader_Values(m, "Colour", &values, &n));
	want(n == 2 && strcmp(values[0], "red") == 0 && strcmp(values[1], "blue") == 0);
	free((void *)values);
	natsMsg_Destroy(m);
	natsSubscription_Destroy(sub);
}

static void shares_work_in_a_queue_group(natsConnection *nc) {
	natsSubscription *subs[3];
	uint64_t got = 0;
	for (int i = 0; i < 3; i++)
		must(natsConnection_QueueSubscribeSync(&subs[i], nc, "c.work", "workers"));
	for (int i = 0; i < 100; i++)
		must(natsConnection_PublishString(nc, "c.work", "x"));
	must(natsConnection_FlushTimeout(nc, patience));
	for (int i = 0; i < 3; i++) {
		uint64_t n = 0;
		must(natsSubscription_QueuedMsgs(subs[i], &n));
		got += n;
		natsSubscription_Destroy(subs[i]);
	}
	want(got == 100);
}

static void serve(natsConnection *nc, natsSubscription *sub, natsMsg *m, void *closure) {
	natsMsg *answer = NULL;
	const char *trace = NULL;
	must(natsMsg_Create(&answer, natsMsg_GetReply(m), NULL, "at your service", 15));
	if (natsMsgHeader_Get(m, "Trace", &trace) == NATS_OK)
		must(natsMsgHeader_Set(answer, "Trace", trace));
	must(natsConnection_PublishMsg(nc, answer));
	natsMsg_Destroy(answer);
	natsMsg_Destroy(m);
}

static void requests(natsConnection *nc) {
	natsSubscription *sub = NULL;
	natsMsg *ask = NULL, *answer = NULL;
	const char *trace = NULL;
	must(natsConnection_Subscribe(&sub, nc, "c.service", serve, NULL));
	must(natsMsg_Create(&ask, "c.service", NULL, "help", 4));
	must(natsMsgHeader_Set(ask, "Trace", "7"));
	must(natsConnection_RequestMsg(&answer, nc, ask, patience));
	want(says(answer, "at your service"));
	must(natsMsgHeader_Get(answer, "Trace", &trace));
	want(strcmp(trace, "7") == 0);
	natsMsg_Destroy(ask);
	natsMsg_Destroy(answer);
	natsSubscription_Destroy(sub);
}

static void fails_at_once_without_responders(natsConnection *nc) {
	natsMsg *answer = NULL;
	int64_t begin = nats_Now();
	want(natsConnection_RequestString(&answer, nc, "c.unheard", "help", patience) == NATS_NO_RESPONDERS);
	want(answer == NULL && nats_Now() - begin < patience / 2);
}

static void comes_back_after_a_restart(natsConnection *nc) {
	natsSubscription *sub = NULL;
	natsMsg *m = NULL;
	natsStatistics *stats = NULL;
	uint64_t reconnects = 0;
	must(natsConnection_SubscribeSync(&sub, nc, "c.again"));
	must(natsConnection_FlushTimeout(nc, patience));
	must(natsStatistics_Create(&stats));
	printf("restart\n");
	for (int64_t end = nats_Now() + patience; reconnects == 0; nats_Sleep(10)) {
		want(nats_Now() < end);
		must(natsConnection_GetStats(nc, stats));
		must(natsStatistics_GetCounts(stats, NULL, NULL, NULL, NULL, &reconnects));
	}
	must(natsConnection_PublishString(nc, "c.again", "again"));
	must(natsSubscription_NextMsg(&m, sub, patience));
	want(says(m, "again"));
	natsMsg_Destroy(m);
	natsStatistics_Destroy(stats);
	natsSubscription_Destroy(sub);
}

static int handled; // changed by one delivery thread, read when that has ended

static void handle(natsConnection *nc, natsSubscription *sub, natsMsg *m, void *closure) {
	handled++;
	natsMsg_Destroy(m);
}

static void drains(natsConnection *nc) {
	natsSubscription *sub = NULL;
	must(natsConnection_QueueSubscribe(&sub, nc, "c.drain", "workers", handle, NULL));
	for (int i = 0; i < 50; i++)
		must(natsConnection_PublishString(nc, "c.drain", "x"));
	must(natsConnection_FlushTimeout(nc, patience));
	must(natsSubscription_Drain(sub));
	must(natsSubscription_WaitForDrainCompletion(sub, patience));
	want(handled == 50);
	natsSubscription_Destroy(sub);
}

static void signs_with_an_nkey(natsConnection *other) {
	natsOptions *opts = NULL;
	natsConnection *nc = NULL;
	must(natsOptions_Create(&opts));
	must(natsOptions_SetURL(opts, getenv("NKEY_URL")));
	must(natsOptions_SetTimeout(opts, patience));
	want(natsConnection_Connect(&nc, opts) != NATS_OK);
	must(natsOptions_SetNKeyFromSeed(opts, getenv("NKEY_PUBLIC"), getenv("NKEY_SEED")));
	// Release 3.4 of the client leaves out a signature whose first byte is 0, one
	// in 256, so it may try again.
	for (int tries = 0; tries < 4 && nc == NULL; tries++)
		natsConnection_Connect(&nc, opts);
	want(nc != NULL);
	must(natsConnection_FlushTimeout(nc, patience));
	natsConnection_Destroy(nc);
	natsOptions_Destroy(opts);
}

static const struct {
	const char *name;
	void (*run)(natsConnection *);
} steps[] = {
	{"publishes and subscribes", publishes_and_subscribes},
	{"takes headers", takes_headers},
	{"shares work in a queue group", shares_work_in_a_queue_group},
	{"requests", requests},
	{"fails at once without responders", fails_at_once_without_responders},
	{"comes back after a restart", comes_back_after_a_restart},
	{"drains", drains},
	{"signs with an nkey", signs_with_an_nkey},
};

int main(void) {
	natsOptions *opts = NULL;
	natsConnection *nc = NULL;
	setvbuf(stdout, NULL, _IOLBF, 0);
	must(natsOptions_Create(&opts));
	must(natsOptions_SetURL(opts, getenv("NATS_URL")));
	must(natsOptions_SetTimeout(opts, patience));
	must(natsOptions_SetReconnectWait(opts, 50));
	must(natsOptions_SetMaxReconnect(opts, 1000));
	must(natsConnection_Connect(&nc, opts));
	must(natsConnection_HasHeaderSupport(nc));
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		steps[i].run(nc);
		printf("ok %s\n", steps[i].name);
	}
	natsConnection_Destroy(nc);
	natsOptions_Destroy(opts);
	nats_Close();
	return 0;
}
