/** Types of kafka-jars.js for those who import it from TypeScript. */
export const kafkaVersion: string;
export const kafkaJarsDir: string;
