#!/bin/bash
# Lints openapi.yaml, and generates types for TypeScript, Swift and Kotlin from it in a temporary folder.
# Needs Node; without the argument `typescript` also Java, and `openapi-generator-cli` on the path.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
document=$(dirname "$(dirname "$here")")/openapi.yaml
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$here/package.json" "$here/package-lock.json" "$here/consumer.ts" .
npm ci --no-audit --no-fund --loglevel=error
bin=$work/node_modules/.bin

echo "Redocly: recommended rules, warnings denied"
"$bin/redocly" lint "$document" --extends recommended-strict >lint.txt 2>&1 || { cat lint.txt; exit 1; }

echo "TypeScript: openapi-typescript, and a consumer that compiles with its types"
"$bin/openapi-typescript" "$document" --output message-status.d.ts >/dev/null
"$bin/tsc" --strict --noEmit --skipLibCheck false --target es2022 --module nodenext consumer.ts

[ "${1:-}" != typescript ] || exit 0

generate() {
  openapi-generator-cli generate --input-spec "$document" --output "$1" "${@:2}" \
    --global-property models,modelTests=false,modelDocs=false >"$1.log" 2>&1 || { cat "$1.log"; exit 1; }
}

# has FILE TEXT…: the file contains every text.
has() {
  local file text
  file=$(find . -path ./node_modules -prune -o -name "$1" -print)
  for text in "${@:2}"; do
    grep -qF -- "$text" "$file" || { echo "$1 has no \"$text\""; cat "$file"; exit 1; }
  done
}

echo "Swift: openapi-generator, structs, and an enum of the two kinds of result"
generate swift --generator-name swift6
has MessageStatus.swift "public struct MessageStatus: Sendable, Codable" \
  "var messageId: String" "var status: String" "var detail: String?"
has MessageResult.swift "public enum MessageResult: Sendable, Codable" \
  "case typeMessageStatus(MessageStatus)" "case typeMessageFailure(MessageFailure)"
has MessageStatuses.swift "var results: [MessageResult]"
has MessageStatusesRequest.swift "var messages: [MessageRef]"
has MessageRef.swift "var channelArn: String" "var messageId: String" "var subChannelId: String?"
has MessageFailure.swift "var problem: Problem"
has Problem.swift "var type: ProblemType" "var title: String" "var status: Int" "var detail: String" \
  "var requestId: String" "var errors: [FieldError]?"
has ProblemType.swift '= "urn:problem-type:message-status:message-not-found"' \
  '= "urn:problem-type:message-status:message-gone"'

echo "Kotlin: openapi-generator, data classes, and a sealed interface of the two kinds of result"
generate kotlin --generator-name kotlin --library jvm-retrofit2 \
  --additional-properties serializationLibrary=kotlinx_serialization,generateOneOfAnyOfWrappers=true
has MessageStatus.kt "data class MessageStatus" \
  "val messageId: kotlin.String," "val status: kotlin.String," "val detail: kotlin.String? = null"
has MessageResult.kt "sealed interface MessageResult" \
  "class MessageStatusValue(val value: MessageStatus)" "class MessageFailureValue(val value: MessageFailure)"
has MessageStatuses.kt "val results: kotlin.collections.List<MessageResult>"
has MessageStatusesRequest.kt "val messages: kotlin.collections.List<MessageRef>"
has MessageRef.kt "val channelArn: kotlin.String," "val messageId: kotlin.String," \
  "val subChannelId: kotlin.String? = null"
has MessageFailure.kt "val problem: Problem"
has Problem.kt "val type: ProblemType," "val title: kotlin.String," "val status: kotlin.Int," \
  "val detail: kotlin.String," "val requestId: kotlin.String," "List<FieldError>? = null"
has ProblemType.kt '"urn:problem-type:message-status:message-not-found"' \
  '"urn:problem-type:message-status:message-gone"'

echo "openapi.yaml passes the linter, and its types are correct"
