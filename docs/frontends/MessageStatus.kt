import java.io.IOException
import java.net.HttpURLConnection
import java.net.URL
import java.net.URLEncoder
import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject

class Message(val channelArn: String, val messageId: String, val subChannelId: String? = null)

/** [problem] is the last part of `type`. A gateway's own responses have no type, or another one. */
class MessageStatusException(
    val status: Int,
    val problem: String?,
    val retryAfter: Int?,
    val requestId: String?,
    title: String,
) : Exception(title) {
    val isRetryable get() = status in setOf(408, 425, 429) || (status >= 500 && problem != "misconfigured")
}

/** A response, and the seconds after which to retry if it is not final. */
class MessageStatusResponse(val json: JSONObject, val retryAfter: Int?)

/** The functions block. Call them on their own thread, or with `Dispatchers.IO`. */
class MessageStatusApi(private val api: String, private val token: () -> String) {
    /** One message. [onOpen] gets the connection; its `disconnect()` cancels. */
    fun one(message: Message, wait: Int = 0, onOpen: (HttpURLConnection) -> Unit = {}): MessageStatusResponse {
        val query = fields(message).entries.joinToString("&") { (name, value) ->
            "$name=${URLEncoder.encode(value, "UTF-8")}"
        }
        return request("$query&wait=$wait", null, onOpen)
    }

    /** Up to 20 messages: `results` in order, each with a `status` or a `problem`. With [wait], the first result ends it. */
    fun many(messages: List<Message>, wait: Int = 0, onOpen: (HttpURLConnection) -> Unit = {}): MessageStatusResponse {
        val items = messages.map { JSONObject(fields(it)) }
        val body = JSONObject().put("messages", JSONArray(items))
        return request(if (wait > 0) "wait=$wait&until=any" else "", body.toString(), onOpen)
    }

    private fun fields(message: Message): Map<String, String> = buildMap {
        put("channelArn", message.channelArn)
        put("messageId", message.messageId)
        message.subChannelId?.let { put("subChannelId", it) }
    }

    private fun request(query: String, body: String?, onOpen: (HttpURLConnection) -> Unit): MessageStatusResponse {
        val connection = URL("$api/message-status?$query").openConnection() as HttpURLConnection
        try {
            onOpen(connection)
            connection.connectTimeout = 10_000
            connection.readTimeout = 35_000 // longer than any wait
            connection.setRequestProperty("Authorization", "Bearer ${token()}")
            if (body != null) {
                connection.doOutput = true
                connection.setRequestProperty("Content-Type", "application/json")
                connection.outputStream.use { it.write(body.toByteArray()) }
            }
            val status = connection.responseCode
            val stream = if (status < 400) connection.inputStream else connection.errorStream
            val text = stream?.bufferedReader()?.use { it.readText() }.orEmpty()
            val retryAfter = connection.getHeaderField("retry-after")?.toIntOrNull()
            if (status == 200) return MessageStatusResponse(JSONObject(text), retryAfter)
            throw failure(status, text, retryAfter)
        } finally {
            connection.disconnect()
        }
    }

    private fun failure(status: Int, text: String, retryAfter: Int?): MessageStatusException {
        val json = try { JSONObject(text) } catch (_: JSONException) { JSONObject() }
        return MessageStatusException(
            status,
            json.optString("type").substringAfter("urn:problem-type:message-status:", "").ifEmpty { null },
            retryAfter,
            json.optString("requestId").ifEmpty { null },
            json.optString("title").ifEmpty { "HTTP $status" },
        )
    }
}

/** The result, or the last response when [isWanted] returns false. Goes on after failures that can pass. */
fun MessageStatusApi.waitForResult(
    message: Message,
    wait: Int = 20,
    onOpen: (HttpURLConnection) -> Unit = {},
    isWanted: () -> Boolean,
): JSONObject? {
    var last: JSONObject? = null
    var failures = 0
    fun pause() = minOf(30.0, Math.pow(2.0, failures++.toDouble())) * (0.5 + Math.random() / 2)
    while (isWanted()) {
        val seconds = try {
            val response = one(message, wait, onOpen)
            last = response.json
            if (response.json.getString("status") != "PENDING") return response.json
            failures = 0
            (response.retryAfter ?: 2).toDouble()
        } catch (failure: MessageStatusException) {
            if (!failure.isRetryable) throw failure
            failure.retryAfter?.toDouble() ?: pause()
        } catch (_: IOException) {
            pause() // no response
        } catch (_: JSONException) {
            pause() // a response of another server, or one that was cut off
        }
        Thread.sleep((seconds * 1000).toLong())
    }
    return last
}
