// What one writes with Flink SQL: a join by market and filters, ROW_NUMBER() <= 3 per session, over retracting changelogs.
// Keeps every pair that passes, as SQL's top-n does.

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.functions.source.legacy.SourceFunction;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.functions.ScalarFunction;
import org.apache.flink.types.Row;
import org.apache.flink.types.RowKind;
import org.apache.flink.util.Collector;

final class SqlJob {
    /** Rows of a mini-batch where there is one. */
    static final int BATCH = 1000;
    /** So long without an output means that the load has ended: SQL has no mark for it, and a busy machine pauses for seconds. */
    private static final long QUIET_NS = TimeUnit.SECONDS.toNanos(10);

    private static final String[] LISTING = {"id", "market", "price", "bedrooms", "commute", "school", "amenities", "m0", "m1", "m2", "m3"};
    private static final String[] SESSION = {"id", "market", "budget", "min_bedrooms", "max_commute", "min_school", "required", "preferred", "profile",
        "w_affordability", "w_space", "w_commute", "w_amenities"};

    private SqlJob() {}

    static void build(StreamExecutionEnvironment environment, int batch) {
        StreamTableEnvironment tables = StreamTableEnvironment.create(environment);
        if (batch > 1) {
            tables.getConfig().set("table.exec.mini-batch.enabled", "true");
            tables.getConfig().set("table.exec.mini-batch.allow-latency", "1 s");
            tables.getConfig().set("table.exec.mini-batch.size", String.valueOf(batch));
        }
        tables.createTemporaryView("listings",
            tables.fromChangelogStream(environment.addSource(new Listings(), "listings", type(LISTING)), schema(LISTING), ChangelogMode.all()));
        tables.createTemporaryView("sessions",
            tables.fromChangelogStream(environment.addSource(new Sessions(), "sessions", type(SESSION)), schema(SESSION), ChangelogMode.insertOnly()));
        // SQL here has no operators on bits.
        tables.createTemporarySystemFunction("HAS_ALL", HasAll.class);
        tables.createTemporarySystemFunction("AMENITIES", Amenities.class);
        tables.toChangelogStream(tables.sqlQuery("""
            SELECT session, listing, score FROM (
                SELECT *, ROW_NUMBER() OVER (PARTITION BY session ORDER BY score DESC, listing ASC) AS place FROM (
                    SELECT s.id AS session, l.id AS listing,
                        CASE s.profile WHEN 0 THEN l.m0 WHEN 1 THEN l.m1 WHEN 2 THEN l.m2 ELSE l.m3 END
                        + s.w_affordability * LEAST(4095, CAST(CAST(s.budget - l.price AS BIGINT) * 10240 / s.budget AS INT))
                        + s.w_space * CASE l.bedrooms - s.min_bedrooms WHEN 0 THEN 2048 WHEN 1 THEN 3072 ELSE 4095 END
                        + s.w_commute * ((s.max_commute - l.commute) * 4095 / s.max_commute)
                        + s.w_amenities * AMENITIES(s.preferred, l.amenities) AS score
                    FROM listings l JOIN sessions s ON l.market = s.market AND l.price <= s.budget
                        AND l.bedrooms >= s.min_bedrooms AND l.commute <= s.max_commute AND l.school >= s.min_school
                        AND HAS_ALL(l.amenities, s.required))
            ) WHERE place <= 3""")).process(new Keep()).sinkTo(new DiscardingSink<>());
    }

    /** Whether all the required bits are there. */
    public static class HasAll extends ScalarFunction {
        public boolean eval(int has, int required) {
            return (has & required) == required;
        }
    }

    /** The component of the score. */
    public static class Amenities extends ScalarFunction {
        public int eval(int preferred, int has) {
            return Rows.amenities(preferred, has);
        }
    }

    private static TypeInformation<Row> type(String... names) {
        TypeInformation<?>[] types = new TypeInformation<?>[names.length];
        Arrays.fill(types, Types.INT);
        return Types.ROW_NAMED(names, types);
    }

    private static Schema schema(String... names) {
        Schema.Builder schema = Schema.newBuilder();
        for (String name : names) schema.column(name, DataTypes.INT().notNull());
        return schema.primaryKey("id").build();
    }

    private static Row row(RowKind kind, int... numbers) {
        Row row = new Row(kind, numbers.length);
        for (int i = 0; i < numbers.length; i++) row.setField(i, numbers[i]);
        return row;
    }

    private static Row listing(RowKind kind, Rows.Listing l) {
        return row(kind, l.id, l.market, l.price, l.bedrooms, l.commute, l.school, l.amenities, l.m0, l.m1, l.m2, l.m3);
    }

    /** Listings, then, when nothing has come out for a while, the changes. */
    public static class Listings implements SourceFunction<Row> {
        @Override
        public void run(SourceContext<Row> context) {
            Map<Integer, Rows.Listing> now = new HashMap<>();
            for (int[] row : Run.listings) change(context, now, Rows.Listing.of(row));
            Run.sourcesLoaded.incrementAndGet();
            Run.await("no output for ten seconds after the load", () -> Run.sourcesLoaded.get() == 2 && Run.lastOutput.get() > 0
                && System.nanoTime() - Run.lastOutput.get() > QUIET_NS);
            Run.beginChanges(Run.lastOutput.get());
            for (int[] row : Run.changes) change(context, now, Rows.Listing.of(row));
        }

        private static void change(SourceContext<Row> context, Map<Integer, Rows.Listing> now, Rows.Listing is) {
            Rows.Listing was = is.isOffered ? now.put(is.id, is) : now.remove(is.id);
            if (was != null) context.collect(listing(is.isOffered ? RowKind.UPDATE_BEFORE : RowKind.DELETE, was));
            if (is.isOffered) context.collect(listing(was != null ? RowKind.UPDATE_AFTER : RowKind.INSERT, is));
        }

        @Override
        public void cancel() {}
    }

    /** Sessions. */
    public static class Sessions implements SourceFunction<Row> {
        @Override
        public void run(SourceContext<Row> context) {
            for (int[] s : Run.sessions) {
                int[] w = Rows.weights[s[8]];
                context.collect(row(RowKind.INSERT, s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], w[0], w[2], w[3], w[5]));
            }
            Run.sourcesLoaded.incrementAndGet();
        }

        @Override
        public void cancel() {}
    }

    /** Keeps what each session sees now. */
    public static class Keep extends ProcessFunction<Row, Row> {
        @Override
        public void processElement(Row row, Context context, Collector<Row> out) {
            TreeSet<Long> keys = Run.seen.computeIfAbsent((Integer) row.getField(0), session -> new TreeSet<>());
            long key = Rows.keyOf((Integer) row.getField(2), (Integer) row.getField(1));
            boolean isAdded = row.getKind() == RowKind.INSERT || row.getKind() == RowKind.UPDATE_AFTER;
            if (isAdded) keys.add(key);
            else keys.remove(key);
            Run.outputs.incrementAndGet();
            Run.lastOutput.set(System.nanoTime());
        }
    }
}
