//! The words that the placeholders of [`crate::phrases`] stand for.

/// The choices for the placeholder `name`, or `None` if there is no such placeholder.
pub(crate) fn choices(name: &str) -> Option<Vec<&'static str>> {
    WORDS.iter().find(|(known, _)| *known == name).map(|(_, words)| words.split('|').collect())
}

/// Placeholders and their words, one of which is drawn each time; a word that stands twice comes twice as often.
const WORDS: &[(&str, &str)] = &[
    (
        "module",
        "golang.org/x/sync|golang.org/x/sys|golang.org/x/net|golang.org/x/text|go.uber.org/zap|go.uber.org/fx|\
         github.com/spf13/cobra|github.com/spf13/viper|github.com/jackc/pgx|github.com/nats-io/nats.go|\
         github.com/prometheus/common|github.com/klauspost/compress|github.com/google/go-cmp|\
         github.com/gorilla/mux|github.com/stretchr/testify|github.com/rs/zerolog|github.com/lib/pq|\
         github.com/cespare/xxhash|google.golang.org/grpc|google.golang.org/protobuf|gopkg.in/yaml.v3|k8s.io/klog|\
         k8s.io/apimachinery|modernc.org/sqlite|github.com/pkg/errors|github.com/hashicorp/raft|\
         github.com/fsnotify/fsnotify",
    ),
    (
        "artifact",
        "com.google.guava:guava|org.slf4j:slf4j-api|org.ow2.asm:asm|io.netty:netty-handler|\
         org.mockito:mockito-core|com.squareup.okio:okio|org.jooq:jooq|io.micrometer:micrometer-core|\
         org.postgresql:postgresql|org.apache.avro:avro|com.zaxxer:HikariCP|org.flywaydb:flyway-core|\
         io.grpc:grpc-stub|junit:junit",
    ),
    ("part", "ledger|router|quota|basket|mailer|catalog|pricing|harbor|tracker|signin"),
    (
        "action",
        "openChannel|mergeShards|applyPatch|drainInbox|resolveHost|renewLease|encodeFrame|visitNode|commitOffset|\
         warmCache",
    ),
    (
        "loader",
        "pipeline.read.parquet|pipeline.join.accounts|pipeline.write.lake|finance.rollup|finance.audit|\
         geo.tiles.builder|geo.tiles.index|feed.pull.partner|feed.pull.archive|sync.crm.worker",
    ),
    ("set", "payments|accounts|parcels|clicks|tickets|products|stocks"),
    (
        "route",
        "/v2/baskets/|/v2/baskets/items/|/v2/accounts/|/readyz|/internal/quota/|/signin/callback|\
         /assets/app/chunk-|/v2/find?text=|/stats|/v2/parcels/events?after=",
    ),
    (
        "agent",
        "okhttp/4.12.0|Mozilla/5.0 (Macintosh; Intel Mac OS X 14_4) Safari/617.2|axios/1.7.4|Wget/1.21.4|\
         kubelet/1.31",
    ),
    ("verb", "GET|GET|GET|HEAD|POST|PATCH|DELETE"),
    ("status", "200|200|200|200|202|204|301|304|403"),
    ("class", "BasketServiceTest|QuotaRulesTest|SigninFlowTest"),
    ("resource", "aws_instance|aws_subnet|google_dns_record_set|kubernetes_secret"),
    ("state", "Pending|Pulling|Creating|Running|Ready"),
    ("fault", "BrokenPipe|DeadlineExceeded|ChecksumMismatch|Conflict"),
    ("repository", "central|mirror|snapshot"),
    ("errno", "ETIMEDOUT|EPIPE|ECONNREFUSED"),
    ("type", "Courier|Keeper|Planner|Gateway"),
    ("probe", "failing|passing"),
    ("variable", "IMAGE_TAG|REPLICAS|ZONE"),
    ("exit", "1|3|255"),
    ("doing", "scan|copy|swap"),
    ("code", "200|200|202|204"),
    ("ending", "done|done|done|broken"),
    ("answer", "200|202|403|502"),
];
