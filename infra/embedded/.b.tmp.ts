import { launchClickHouse } from "./clickhouse-process.ts"; import pino from 'pino'; import fs from 'node:fs'; import { createClient } from '@clickhouse/client'; import { Readable } from 'node:stream';
fs.rmSync('/tmp/cbd',{recursive:true,force:true});
const s=await launchClickHouse({dataDir:'/tmp/cbd',port:0,log:pino({level:'warn'})});
const c=createClient({url:s.url, max_open_connections:64});
const rss=()=>Number(fs.readFileSync(`/proc/${s.pid}/status`,'utf8').match(/VmRSS:\s+(\d+)/)[1])/1024|0; const cpu=()=>{const f=fs.readFileSync(`/proc/${s.pid}/stat`,'utf8').split(') ')[1].split(' ');return (+f[11]+ +f[12])*10};

await c.command({query:`create table spans (rollout_id String, seq UInt64, body String) engine=MergeTree order by (rollout_id, seq) settings index_granularity=${process.argv[2]??8192}`});
await c.command({query:`insert into spans select 'ro-'||toString(intDiv(number,16)), number, repeat('x',700) from numbers(400000)`});
for (const sql of ['select 1', "select * from spans where rollout_id={r:String} limit 1000","select * from spans where rollout_id={r:String}"]) for (const [set,extra] of [['',{}],['max_threads=1',{max_threads:1}],['wait_end',{wait_end_of_query:1}]]) for (const conc of [1,8]) { const t0=performance.now(),k=cpu(); let n=0; await Promise.all(Array.from({length:conc},async(_,w)=>{for(let i=0;i<400/conc;i++){ const r=await c.query({query:sql,query_params:{r:`ro-${i*7+w}`},format:'JSONEachRow',clickhouse_settings:extra as never}); n+=(await r.json()).length; }})); const ms=performance.now()-t0; console.log(sql.slice(0,60),set,'conc',conc,Math.round(400/ms*1000)+'/s',(ms/400*conc).toFixed(1)+'ms','cpu ms each',((cpu()-k)/400).toFixed(2),'rows',n); }
await c.close(); await s.stop();
