// Runs the code of docs/frontends/android.md against the local gateway.

import java.io.IOException
import java.net.HttpURLConnection
import java.net.URL
import kotlin.concurrent.thread

fun send(gateway: String, token: String, query: String): String {
    val connection = URL("$gateway/send?$query").openConnection() as HttpURLConnection
    connection.requestMethod = "POST"
    connection.setRequestProperty("Authorization", "Bearer $token")
    check(connection.responseCode == 201)
    return connection.inputStream.bufferedReader().readText()
}

fun refused(problem: String?, status: Int, call: () -> Unit): MessageStatusException {
    val refusal = try {
        call()
        null
    } catch (refusal: MessageStatusException) {
        refusal
    }
    checkNotNull(refusal) { "$problem was not refused" }
    check(refusal.problem == problem && refusal.status == status) { "${refusal.problem} ${refusal.status}" }
    return refusal
}

fun main(arguments: Array<String>) {
    val (gateway, alice, bob, channel) = arguments
    val api = MessageStatusApi(gateway) { alice }
    fun message(query: String) = Message(channel, send(gateway, alice, query))

    val sent = message("outcome=SENT&afterMs=0")
    check(api.one(sent).json.getString("status") == "SENT")
    val pending = message("outcome=PENDING")
    check((api.one(pending).retryAfter ?: 0) >= 1)

    val failing = message("outcome=FAILED&afterMs=2500&detail=why")
    var rounds = 0
    val result = api.waitForResult(failing, wait = 1) { ++rounds > 0 }
    check(result?.getString("status") == "FAILED" && result.getString("detail") == "why")
    check(rounds > 1) { "it had to come back" }
    check(api.waitForResult(pending, wait = 0) { rounds-- > 0 }?.getString("status") == "PENDING")

    var ended: Exception? = null
    var open: HttpURLConnection? = null
    val waiting = thread {
        try {
            api.waitForResult(pending, onOpen = { open = it }) { true }
        } catch (end: IOException) {
            ended = end
        } catch (end: InterruptedException) {
            ended = end
        }
    }
    Thread.sleep(500)
    open?.disconnect()
    waiting.interrupt()
    waiting.join(10_000)
    check(!waiting.isAlive && ended != null) { "it was not cancelled" }

    val nothing = Message(channel, "no-such-message")
    val results = api.many(List(19) { sent } + nothing).json.getJSONArray("results")
    check(results.length() == 20)
    check(results.getJSONObject(0).getString("status") == "SENT")
    check(results.getJSONObject(19).getJSONObject("problem").getString("type").endsWith(":message-not-found"))

    refused("message-not-found", 404) { MessageStatusApi(gateway) { bob }.one(sent) }
    refused("invalid-request", 400) { api.one(Message(channel, "a b", subChannelId = "")) }
    refused(null, 401) { MessageStatusApi(gateway) { "nobody" }.one(sent) }
    val throttled = message("outcome=ThrottledClientException")
    check((refused("throttled", 429) { api.one(throttled) }.retryAfter ?: 0) >= 1)
}
