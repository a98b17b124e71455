// What a good engineer writes with Flink's DataStream interface: a KeyedCoProcessFunction by market, sessions and listings in
// keyed map state, the algorithm of the brute-force peer. Keeps no pair.

import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.streaming.api.functions.co.KeyedCoProcessFunction;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.functions.source.legacy.SourceFunction;
import org.apache.flink.types.Row;
import org.apache.flink.util.Collector;

final class KeyedJob {
    private static final TypeInformation<Row> OUT = Types.ROW(Types.INT, Types.INT, Types.LONG, Types.LONG, Types.LONG);

    private KeyedJob() {}

    static void build(StreamExecutionEnvironment environment) {
        var listings = environment.addSource(new Listings(), "listings", Types.POJO(Rows.Listing.class));
        var sessions = environment.addSource(new Sessions(), "sessions", Types.POJO(Rows.Session.class));
        listings.keyBy(listing -> listing.market).connect(sessions.keyBy(session -> session.market))
            .process(new TopThree()).returns(OUT)
            .process(new Keep()).returns(OUT).sinkTo(new DiscardingSink<>());
    }

    /** Listings, then, when every session has been taken in, the changes. */
    public static class Listings implements SourceFunction<Rows.Listing> {
        @Override
        public void run(SourceContext<Rows.Listing> context) {
            for (int[] row : Run.listings) context.collect(Rows.Listing.of(row));
            long loaded = Run.listings.size() + Run.sessions.size();
            Run.await("all listings and sessions are taken in", () -> Run.done.get() == loaded);
            Run.beginChanges(System.nanoTime());
            for (int[] row : Run.changes) context.collect(Rows.Listing.of(row));
            Run.await("all changes are taken in", () -> Run.done.get() == loaded + Run.changes.size());
        }

        @Override
        public void cancel() {}
    }

    /** Sessions, after the listings: each is searched for once. */
    public static class Sessions implements SourceFunction<Rows.Session> {
        @Override
        public void run(SourceContext<Rows.Session> context) {
            Run.await("all listings are taken in", () -> Run.done.get() == Run.listings.size());
            for (int[] row : Run.sessions) context.collect(Rows.Session.of(row));
        }

        @Override
        public void cancel() {}
    }

    /** The three best of every session of a market. */
    public static class TopThree extends KeyedCoProcessFunction<Integer, Rows.Listing, Rows.Session, Row> {
        private transient MapState<Integer, Rows.Listing> listings;
        private transient MapState<Integer, Rows.Session> sessions;

        @Override
        public void open(OpenContext context) {
            listings = getRuntimeContext().getMapState(new MapStateDescriptor<>("listings", Types.INT, Types.POJO(Rows.Listing.class)));
            sessions = getRuntimeContext().getMapState(new MapStateDescriptor<>("sessions", Types.INT, Types.POJO(Rows.Session.class)));
        }

        @Override
        public void processElement1(Rows.Listing listing, Context context, Collector<Row> out) throws Exception {
            if (listing.isOffered) listings.put(listing.id, listing);
            else listings.remove(listing.id);
            for (Map.Entry<Integer, Rows.Session> entry : sessions.entries()) {
                Rows.Session session = entry.getValue();
                if (session.change(listing, listings.values())) {
                    entry.setValue(session);
                    out.collect(row(session));
                }
            }
            Run.changesDone = System.nanoTime();
            Run.done.incrementAndGet();
        }

        @Override
        public void processElement2(Rows.Session session, Context context, Collector<Row> out) throws Exception {
            if (Run.start == null) session.search(listings.values());
            else for (long key : Run.start.getOrDefault(session.id, List.of())) session.offer(key);
            sessions.put(session.id, session);
            out.collect(row(session));
            Run.done.incrementAndGet();
        }

        private static Row row(Rows.Session s) {
            return Row.of(s.id, s.n, s.k0, s.k1, s.k2);
        }
    }

    /** Keeps what each session sees now; runs in the same thread, right behind. */
    public static class Keep extends ProcessFunction<Row, Row> {
        @Override
        public void processElement(Row row, Context context, Collector<Row> out) {
            Run.outputs.incrementAndGet();
            TreeSet<Long> keys = new TreeSet<>();
            for (int i = 0; i < (Integer) row.getField(1); i++) keys.add((Long) row.getField(2 + i));
            Run.seen.put((Integer) row.getField(0), keys);
        }
    }
}
