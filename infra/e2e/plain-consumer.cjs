// Reads `count` values of partition 0 with kafkajs as npm gives it: `plain-consumer.cjs <brokers> <topic> <count>`.
const { Kafka, logLevel } = require("kafkajs");

const [brokers, topic, count] = process.argv.slice(2);
const kafka = new Kafka({ brokers: [brokers], logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: `plain-${topic}` });
const values = [];

async function run() {
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      values.push(message.value.toString());
      if (values.length === Number(count)) process.send(values, () => process.exit(0));
    },
  });
}

run();
