//! The table as it was given, for each store.

/// The statement that makes the table on MySQL and MariaDB. The character set is named, for
/// where a server's default is latin1 the columns would not hold every `user_id`.
pub const MYSQL: &str = "\
CREATE TABLE IF NOT EXISTS processed_events (
  id VARCHAR(36) PRIMARY KEY,
  type ENUM('user_action','sensor_data','system_log') NOT NULL,
  source VARCHAR(50) NOT NULL,
  user_id VARCHAR(50),
  processed_data JSON,
  processing_time_ms INT,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  processed_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  INDEX idx_type_created (type, created_at),
  INDEX idx_user_created (user_id, created_at)
) DEFAULT CHARSET=utf8mb4";

/// The statements that make the same table on SQLite.
pub const SQLITE: &str = "\
CREATE TABLE IF NOT EXISTS processed_events (
  id VARCHAR(36) NOT NULL PRIMARY KEY,
  type VARCHAR(11) NOT NULL CHECK (type IN ('user_action','sensor_data','system_log')),
  source VARCHAR(50) NOT NULL,
  user_id VARCHAR(50),
  processed_data JSON,
  processing_time_ms INT,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  processed_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX IF NOT EXISTS idx_type_created ON processed_events (type, created_at);
CREATE INDEX IF NOT EXISTS idx_user_created ON processed_events (user_id, created_at);";
