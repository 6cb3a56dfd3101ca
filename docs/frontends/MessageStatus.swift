import Foundation

struct Message: Codable {
    let channelArn: String
    let messageId: String
    var subChannelId: String? = nil
}

struct MessageStatus: Decodable {
    let messageId: String
    let status: String
    let detail: String?
}

/// `type` ends in the name of the problem. A gateway's own responses have no type, or another one.
struct Problem: Decodable, Error {
    let type: String?
    let title: String?
    let requestId: String?
    var name: String? {
        let prefix = "urn:problem-type:message-status:"
        guard let type, type.hasPrefix(prefix) else { return nil }
        return String(type.dropFirst(prefix.count))
    }
}

struct MessageStatusFailure: Error {
    let status: Int
    let problem: Problem?
    let retryAfter: Int?
    var isRetryable: Bool { [408, 425, 429].contains(status) || (status >= 500 && problem?.name != "misconfigured") }
}

/// One result of many: a `status`, or a `problem`.
struct MessageResult: Decodable {
    let messageId: String
    let status: String?
    let detail: String?
    let problem: Problem?
}

struct MessageStatusAPI {
    /// The URL of the API with its stage or base path.
    let url: URL
    /// Called for each request, because tokens expire before waits do.
    let token: () async throws -> String

    /// One message, and the seconds after which to request it again while it is pending.
    func one(_ message: Message, wait: Int = 0) async throws -> (MessageStatus, retryAfter: Int?) {
        var items = [
            URLQueryItem(name: "channelArn", value: message.channelArn),
            URLQueryItem(name: "messageId", value: message.messageId),
        ]
        if let subChannelId = message.subChannelId {
            items.append(URLQueryItem(name: "subChannelId", value: subChannelId))
        }
        let (data, retryAfter) = try await send(items, wait: wait, body: nil)
        let status = try JSONDecoder().decode(MessageStatus.self, from: data)
        return (status, retryAfter)
    }

    /// Up to 20 messages, in order. With `wait`, the first result ends it.
    func many(_ messages: [Message], wait: Int = 0) async throws -> ([MessageResult], retryAfter: Int?) {
        let body = try JSONEncoder().encode(["messages": messages])
        let until = wait > 0 ? [URLQueryItem(name: "until", value: "any")] : []
        let (data, retryAfter) = try await send(until, wait: wait, body: body)
        let response = try JSONDecoder().decode([String: [MessageResult]].self, from: data)
        return (response["results"] ?? [], retryAfter)
    }

    private func send(_ items: [URLQueryItem], wait: Int, body: Data?) async throws -> (Data, Int?) {
        let path = url.appendingPathComponent("message-status")
        guard var parts = URLComponents(url: path, resolvingAgainstBaseURL: false) else {
            throw URLError(.badURL)
        }
        parts.queryItems = items + [URLQueryItem(name: "wait", value: String(wait))]
        guard let address = parts.url else { throw URLError(.badURL) }
        let bearer = try await token()
        var request = URLRequest(url: address)
        request.timeoutInterval = 35 // longer than any wait
        request.setValue("Bearer \(bearer)", forHTTPHeaderField: "authorization")
        if let body = body {
            request.httpMethod = "POST"
            request.httpBody = body
            request.setValue("application/json", forHTTPHeaderField: "content-type")
        }
        let (data, response) = try await URLSession.shared.data(for: request)
        guard let response = response as? HTTPURLResponse else { throw URLError(.badServerResponse) }
        let retryAfter = response.value(forHTTPHeaderField: "retry-after").flatMap { Int($0) }
        guard response.statusCode == 200 else {
            let problem = try? JSONDecoder().decode(Problem.self, from: data)
            throw MessageStatusFailure(status: response.statusCode, problem: problem, retryAfter: retryAfter)
        }
        return (data, retryAfter)
    }
}

extension MessageStatusAPI {
    /// The result. Goes on after failures that can pass, also without a network.
    func waitForResult(_ message: Message, wait: Int = 20) async throws -> MessageStatus {
        var failures = 0
        while true {
            var seconds = min(30, pow(2, Double(failures))) * Double.random(in: 0.5...1)
            do {
                let (status, retryAfter) = try await one(message, wait: wait)
                if status.status != "PENDING" { return status }
                failures = 0
                seconds = Double(retryAfter ?? 2)
            } catch let failure as MessageStatusFailure {
                guard failure.isRetryable else { throw failure }
                failures += 1
                seconds = failure.retryAfter.map { Double($0) } ?? seconds
            } catch let failure where failure is URLError || failure is DecodingError {
                try Task.checkCancellation()
                failures += 1
            }
            try await Task.sleep(nanoseconds: UInt64(seconds * 1_000_000_000))
        }
    }
}
